// What a fleet of real workers makes of its time when models take a fixed time a frame; see bench/README.md.
//   node bench/fleet/real/measure.ts [--workers 2,4,8,16] [--slow 8] [--fairness 8] [--json]
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Command, InvalidArgumentError } from 'commander'
import { type Machine, thisMachine } from '../../machine.ts'
import type { RealRun } from './figures.ts'
import { runFilm } from './run-film.ts'
import { type ShortClipRun, runShortClip } from './run-short-clip.ts'

export type RealMeasure = {
  runs: RealRun[]
  /** Behind a film ÷ alone on half of the workers, from the POST to the last commit. */
  fairness_ratio: number | null
  fairness: ShortClipRun | null
  machine: Machine
}

export type RealOptions = {
  /** A run for each. */
  workers: number[]
  /** One more run with as many, where the first worker takes so many times longer. */
  slow?: { workers: number; factor: number }
  /** A run for fairness with as many; half of them have the clip alone. */
  fairness?: number
  secondsPerFrame: number
  /** What a film takes where nothing is lost. */
  seconds: number
  signal: AbortSignal
  say(line: string): void
}

/** For fairness: ten seconds of video, three times, and a film that outlasts them. */
const clipFrames = 300
const clipTimes = 3
const filmFrames = 24_000

/** Starts a system for each run, and leaves nothing behind, also when the signal ends it. */
export async function measureReal(options: RealOptions): Promise<RealMeasure> {
  const { workers, slow, fairness, secondsPerFrame, seconds, signal, say } = options
  const dir = await mkdtemp(join(tmpdir(), 'framefleet-bench-clips-'))
  try {
    const runs: RealRun[] = []
    const films = [
      ...workers.map((count) => ({ workers: count })),
      ...(slow ? [{ workers: slow.workers, slow: slow.factor }] : []),
    ]
    for (const film of films) {
      const run = await runFilm({ ...film, secondsPerFrame, seconds, dir, signal })
      runs.push(run)
      say(describe(run))
    }
    const clip =
      fairness === undefined
        ? null
        : await runShortClip({
            ...{ workers: fairness, secondsPerFrame, dir, signal },
            ...{ clipFrames, filmFrames, times: clipTimes },
          })
    if (clip)
      say(
        `a clip behind a film on ${clip.workers} workers: ${clip.behind_s.join(', ')} s; alone on half of them ${clip.alone_s.join(', ')} s`,
      )
    return { runs, fairness_ratio: clip?.ratio ?? null, fairness: clip, machine: thisMachine() }
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
}

const percent = (share: number) => `${Math.round(100 * share)} %`

function describe(run: RealRun): string {
  const { workers, slow, batches, makespan_s, efficiency, setUpSeconds } = run
  const who = `${workers} workers${slow ? `, one ${slow} times slower` : ''}`
  return (
    `${who}: ${batches} batches in ${makespan_s} s, efficiency ${efficiency}; ${setUpSeconds} s a batch beside its frames; ` +
    `${percent(run.processor_busy)} of the processor busy, ${percent(run.processor_own)} with us`
  )
}

function count(from: number, to: number) {
  return (text: string): number => {
    const value = Number(text)
    if (Number.isInteger(value) && value >= from && value <= to) return value
    throw new InvalidArgumentError(`must be a whole number from ${from} to ${to}.`)
  }
}

const listed = (text: string) => (text === 'none' ? [] : text.split(',').map(count(1, 64)))

function even(text: string): number {
  const value = count(2, 64)(text)
  if (value % 2 === 0) return value
  throw new InvalidArgumentError('must be even: half of the workers have the clip alone.')
}

function pace(text: string): number {
  const value = Number(text)
  if (value >= 0.02 && value <= 10) return value
  throw new InvalidArgumentError('must be a number of seconds from 0.02 to 10.')
}

if (import.meta.main) {
  const options = new Command('measure')
    .description(
      'Real workers whose models take a fixed time a frame: how much of their time goes into frames.',
    )
    .option('--workers <list>', 'a film on as many, for each; or none', listed, [2, 4, 8, 16])
    .option('--slow <n>', 'one more run with as many, the first of them three times slower', count(2, 64))
    .option('--fairness <n>', 'a short clip behind a film on as many, an even number', even)
    .option('--seconds-per-frame <n>', 'what a frame takes at the model', pace, 0.25)
    .option('--seconds <n>', 'what a film takes where nothing is lost', count(1, 600), 90)
    .option('--json', 'one JSON value on standard output, nothing else', false)
    .parse()
    .opts<Omit<RealOptions, 'slow' | 'signal' | 'say'> & { slow?: number; json: boolean }>()
  const stopping = new AbortController()
  for (const name of ['SIGINT', 'SIGTERM'] as const)
    process.on(name, () => stopping.abort(new Error('stopped')))
  const { slow, json, ...rest } = options
  const say = (line: string) => void process.stderr.write(`measure: ${line}\n`)
  try {
    const measured = await measureReal({
      ...{ ...rest, say, signal: stopping.signal },
      ...(slow === undefined ? {} : { slow: { workers: slow, factor: 3 } }),
    })
    if (json) process.stdout.write(`${JSON.stringify(measured)}\n`)
  } catch (error) {
    say(stopping.signal.aborted ? 'stopped before the end' : ((error as Error).stack ?? String(error)))
    process.exitCode = 1
  }
}
