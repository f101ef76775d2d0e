import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { Report } from '../../../src/shared/job.ts'
import { rounded } from './figures.ts'
import { type FleetOptions, type FleetSystem, startFleetSystem } from './fleet-system.ts'
import { makeTinyClip } from './tiny-clip.ts'

/** A short clip that comes while a long film is being scored, and the same clip alone on half of the workers. */
export type ShortClipRun = {
  workers: number
  secondsPerFrame: number
  clip_frames: number
  film_frames: number
  /** Batches of the film that were committed when the clip was posted. */
  film_batches_before: number
  /** From the POST to the clip's last commit: behind the film, and alone. */
  behind_s: number
  alone_s: number
  /** The same, from the end of its split. */
  behind_from_split_s: number
  alone_from_split_s: number
  /** behind ÷ alone, from the POST. */
  ratio: number
  ratio_from_split: number
}

export type ShortClipOptions = FleetOptions & {
  clipFrames: number
  filmFrames: number
  /** A folder for clips. */
  dir: string
}

export async function runShortClip(options: ShortClipOptions): Promise<ShortClipRun> {
  const { clipFrames, filmFrames, dir, ...fleet } = options
  const { workers, secondsPerFrame, signal } = fleet
  const film = await makeTinyClip(join(dir, 'film.mp4'), filmFrames)
  const clip = await makeTinyClip(join(dir, 'clip.mp4'), clipFrames)
  const behind = await within({ ...fleet, dir }, async (system) => {
    const long = await system.submit(film)
    // In the middle of it: every worker is at work, and has been for a while.
    const before = await atLeast(workers, system, long.id, signal)
    const times = await timeClip(system, clip)
    await system.api.cancel(long.id)
    await system.ends(long.id, 'cancelled')
    return { ...times, before }
  })
  const half = { ...fleet, dir, workers: workers / 2 }
  const alone = await within(half, async (system) => await timeClip(system, clip))
  return {
    ...{ workers, secondsPerFrame, clip_frames: clipFrames, film_frames: filmFrames },
    film_batches_before: behind.before,
    behind_s: rounded(behind.fromPost),
    alone_s: rounded(alone.fromPost),
    behind_from_split_s: rounded(behind.fromSplit),
    alone_from_split_s: rounded(alone.fromSplit),
    ratio: rounded(behind.fromPost / alone.fromPost),
    ratio_from_split: rounded(behind.fromSplit / alone.fromSplit),
  }
}

async function within<T>(
  { dir, ...options }: FleetOptions & { dir: string },
  work: (system: FleetSystem) => Promise<T>,
): Promise<T> {
  const warmUp = await makeTinyClip(join(dir, 'warm-up.mp4'), 4 * options.workers)
  const system = await startFleetSystem(options)
  try {
    await system.warm(warmUp)
    return await work(system)
  } finally {
    await system.stop()
  }
}

/** Waits until so many batches of a job are committed. */
async function atLeast(
  batches: number,
  { notes }: FleetSystem,
  id: string,
  signal: AbortSignal,
): Promise<number> {
  for (;;) {
    const committed = await notes.committed(id)
    if (committed.batches >= batches) return committed.batches
    await wait(200, undefined, { signal })
  }
}

async function timeClip(system: FleetSystem, clip: string): Promise<{ fromPost: number; fromSplit: number }> {
  const { id, postedAt } = await system.submit(clip)
  await system.ends(id)
  const { batches } = Report.parse(await system.api.report(id))
  const { lastAt, batches: committed } = await system.notes.committed(id)
  if (committed !== batches.planned) throw new Error(`${committed} of ${batches.planned} batches are noted`)
  const splitAt = await system.notes.splitAt(id)
  return { fromPost: (lastAt - postedAt) / 1_000, fromSplit: (lastAt - splitAt) / 1_000 }
}
