// How much of a fleet is work, and what it costs; see ../README.md for what each number is.
//   npm run bench:fleet [-- --help]
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { thisMachine } from '../machine.ts'
import { type Options, type Part, parts, readOptions } from './options.ts'
import { measurePlan } from './plan-1m.ts'
import { drawCosts, drawDay, drawEfficiency } from './plots.ts'
import { measureReal } from './real/measure.ts'
import { efficiencies, fairnessOf, type FleetResults, simulateAll } from './results.ts'
import { describeFleet } from './table.ts'
import { troublesOf } from './wanted.ts'

const stopping = new AbortController()
for (const name of ['SIGINT', 'SIGTERM'] as const) {
  process.on(name, () => stopping.abort(new Error('stopped before the end')))
}
const { signal } = stopping
const say = (line: string) => void process.stderr.write(`bench:fleet: ${line}\n`)

const options = readOptions(process.argv, fileURLToPath(new URL('../results', import.meta.url)))
try {
  const results = await bench(options)
  await keep(results, options.results)
  process.stdout.write(options.json ? `${JSON.stringify(results)}\n` : describeFleet(results))
  const troubles = troublesOf(results)
  troubles.forEach(say)
  if (troubles.length > 0) process.exitCode = 1
} catch (error) {
  say(signal.aborted ? 'stopped before the end' : ((error as Error).stack ?? String(error)))
  process.exitCode = 1
}

/** What is not run this time stays as it was kept. */
async function bench({ only, workers, results: folder }: Options): Promise<FleetResults> {
  const runs = (part: Part) => parts.includes(part) && (only === undefined || only === part)
  const before = await kept(folder)
  const simulated = runs('sim') || !before ? simulateAll(say) : before
  const results: FleetResults = {
    real: before?.real ?? {},
    ...{ sim: simulated.sim, fairness_ratio: null },
    plan_1m_frames: before?.plan_1m_frames ?? null,
    ...{ fairness_sim: simulated.fairness_sim, real_measure: before?.real_measure ?? null },
    ...{ day: simulated.day, settings: simulated.settings, price: simulated.price },
    measured: { ...before?.measured },
  }
  const now = () => ({ at: new Date().toISOString().slice(0, 10), machine: thisMachine() })
  if (runs('real')) {
    const slow = { workers: Math.max(2, ...workers), factor: 3 }
    const fairness = Math.max(2, 2 * Math.floor(Math.max(...workers) / 4))
    const pace = { secondsPerFrame: 0.25, seconds: 90 }
    const measured = await measureReal({ ...pace, workers, slow, fairness, signal, say })
    results.real = efficiencies(measured)
    results.real_measure = measured
    results.measured.real = now()
  }
  if (runs('plan')) {
    results.plan_1m_frames = await measurePlan({ say })
    results.measured.plan = now()
  }
  results.fairness_ratio = fairnessOf(results)
  return results
}

async function kept(folder: string): Promise<FleetResults | undefined> {
  try {
    return JSON.parse(await readFile(join(folder, 'fleet.json'), 'utf8')) as FleetResults
  } catch {
    // The first time there is none.
    return undefined
  }
}

async function keep(results: FleetResults, folder: string): Promise<void> {
  await mkdir(folder, { recursive: true })
  const plots = {
    'fleet-efficiency.svg': drawEfficiency(results),
    'fleet-cost.svg': drawCosts(results),
    'fleet-day.svg': drawDay(results),
  }
  const images = Object.keys(plots).map((name) => `![${name.slice(6, -4)}](${name})`)
  const files = {
    'fleet.json': JSON.stringify(results, null, 2),
    'fleet.md': `${describeFleet(results)}\n${images.join('\n\n')}`,
    ...plots,
  }
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), `${text}\n`)
  say(`kept as ${Object.keys(files).join(', ')} in ${folder}`)
}
