import { readFileSync, globSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { Prices, restingMonth, videoHour } from '../deploy/prices/cost.ts'

const usage = `usage: node scripts/azure-cost.ts --rate FRAMES [--fps 24] [--busy 0.8] [--prices FILE]

What a month at rest costs on Azure, and an hour of video by GPU.
  --rate    frames a second that one worker scores, of your model at your size, as \`framefleet fleet\` says
  --fps     frames a second of the video
  --busy    which part of the time that machines are paid for they score
  --prices  a file of prices; the latest of deploy/prices by default
`

const { values } = parseArgs({
  options: {
    rate: { type: 'string' },
    fps: { type: 'string', default: '24' },
    busy: { type: 'string', default: '0.8' },
    prices: { type: 'string' },
  },
})
const [rate, fps, busy] = [values.rate, values.fps, values.busy].map(Number)
if (!(rate && rate > 0 && fps && fps > 0 && busy && busy > 0 && busy <= 1)) {
  process.stderr.write(usage)
  process.exit(2)
}

const deployDir = join(import.meta.dirname, '../deploy')
const latest = globSync('prices/*.json', { cwd: deployDir }).toSorted().at(-1) ?? ''
const prices = Prices.parse(JSON.parse(readFileSync(values.prices ?? join(deployDir, latest), 'utf8')))
const money = (amount: number) => amount.toFixed(2).padStart(9)
const print = (line: string) => process.stdout.write(`${line}\n`)

print(`${prices.currency}, ${prices.region}, ${prices.date}`)
print('\na month at rest')
const things = restingMonth(prices)
for (const { thing, cost, isExample } of things)
  print(`${money(cost)}  ${thing}${isExample ? ' (example)' : ''}`)
print(`${money(things.reduce((sum, { cost }) => sum + cost, 0))}  together`)

print(`\nan hour of video of ${fps} frames a second, at ${rate} scored a second`)
for (const [gpu, { spot, regular }] of Object.entries(prices.machines)) {
  const { gpus } = JSON.parse(readFileSync(join(deployDir, `presets/${gpu}.json`), 'utf8')) as {
    gpus: number
  }
  const work = { workersPerMachine: gpus, framesPerSecond: fps, scoredPerSecond: rate, busyShare: busy }
  const [cheap, dear] = [spot, regular].map((hourPrice) => videoHour({ ...work, hourPrice }))
  print(`${money(cheap ?? 0)}  ${gpu}, spot; ${dear?.toFixed(2)} at full price`)
}
