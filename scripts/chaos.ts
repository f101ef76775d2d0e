// A storm of faults over the real system, and what was left standing: prints what it found. Exit code 1: something was lost,
// hung, differs, or was left behind.
//   npm run chaos [-- --help]
import { rm } from 'node:fs/promises'
import { Command, InvalidArgumentError } from 'commander'
import { type FaultKind, faultKinds } from './chaos/faults.ts'
import { describeOutcome, isWhole, redoneTroubles } from './chaos/outcome.ts'
import { runStorm } from './chaos/storm.ts'
import { worldFolder } from './chaos/world.ts'

type Options = {
  minutes: number
  seed: number
  only?: FaultKind[]
  workers: number
  json: boolean
  keep: boolean
}

const options = new Command('chaos')
  .description(
    'Runs jobs on the whole system while a seeded storm of faults goes on, then checks what is promised.',
  )
  .option('--minutes <n>', 'how long faults come', number(0.1, 1_440), 10)
  .option(
    '--seed <n>',
    'of the storm: the same one gives the same faults at the same times',
    number(0, 2 ** 31),
    7,
  )
  .option('--only <kinds>', `these kinds of fault, separated by commas: ${faultKinds.join(', ')}`, kindsOf)
  .option('--workers <n>', 'worker processes', number(1, 16), 2)
  .option('--json', 'one JSON value on standard output, nothing else', false)
  .option('--keep', 'keep the logs and all data, also when all is well', false)
  .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2))
  .parse()
  .opts<Options>()

const stopping = new AbortController()
for (const name of ['SIGINT', 'SIGTERM'] as const)
  process.on(name, () => stopping.abort(new Error('stopped')))
const say = (line: string) => void process.stderr.write(`chaos: ${line}\n`)

const dir = await worldFolder()
let keep = options.keep
try {
  const { outcome, troubles } = await runStorm({
    ...{ dir, seed: options.seed, ms: options.minutes * 60_000, gapMs: [5_000, 8_000], kinds: options.only },
    ...{ workers: options.workers, customers: 4, settleMs: 180_000, tidyMs: 90_000 },
    ...{ say, signal: stopping.signal },
  })
  process.stdout.write(options.json ? `${JSON.stringify(outcome)}\n` : `${describeOutcome(outcome)}\n`)
  const costly = redoneTroubles(outcome)
  for (const trouble of [...troubles, ...costly]) say(trouble)
  if (!isWhole(outcome) || costly.length > 0) {
    keep = true
    process.exitCode = 1
  }
} catch (error) {
  say(stopping.signal.aborted ? 'stopped before the end' : ((error as Error).stack ?? String(error)))
  keep ||= !stopping.signal.aborted
  process.exitCode = 1
} finally {
  if (keep) say(`logs and data are kept in ${dir}`)
  else await rm(dir, { recursive: true, force: true })
}

function number(from: number, to: number) {
  return (text: string): number => {
    const value = Number(text)
    if (text.trim() !== '' && value >= from && value <= to) return value
    throw new InvalidArgumentError(`must be a number from ${from} to ${to}.`)
  }
}

function kindsOf(text: string): FaultKind[] {
  const kinds = text.split(',').map((kind) => kind.trim()) as FaultKind[]
  const unknown = kinds.find((kind) => !faultKinds.includes(kind))
  if (unknown === undefined) return kinds
  throw new InvalidArgumentError(`there is no fault ${unknown}.`)
}
