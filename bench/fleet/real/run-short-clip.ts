import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { Report } from '../../../src/shared/job.ts'
import { rounded } from './figures.ts'
import { type FleetOptions, type FleetSystem, startFleetSystem } from './fleet-system.ts'
import { makeTinyClip } from './tiny-clip.ts'

/**
 * Short clips that come, one after the other, while a long film is being scored; and the same clip alone on half of the
 * workers. Seconds from the POST to the clip's last commit, and from the end of its split.
 */
export type ShortClipRun = {
  workers: number
  secondsPerFrame: number
  clip_frames: number
  film_frames: number
  /** The longest batches of the film: what a clip may have to wait for. */
  film_batch_s: number
  behind_s: number[]
  alone_s: number[]
  behind_from_split_s: number[]
  alone_from_split_s: number[]
  /** The median behind the film ÷ the median alone. */
  ratio: number
  ratio_from_split: number
}

export type ShortClipOptions = FleetOptions & {
  clipFrames: number
  filmFrames: number
  /** How often the clip comes, in either case. */
  times: number
  /** A folder for clips. */
  dir: string
}

export async function runShortClip(options: ShortClipOptions): Promise<ShortClipRun> {
  const { clipFrames, filmFrames, times, dir, ...fleet } = options
  const { workers, secondsPerFrame, signal } = fleet
  const film = await makeTinyClip(join(dir, 'film.mp4'), filmFrames)
  const clip = await makeTinyClip(join(dir, 'clip.mp4'), clipFrames)
  const behind = await within({ ...fleet, dir }, async (system) => {
    const long = await system.submit(film)
    // Not at its start: there all workers take their first batch at once, and end it at once.
    await committedBatches(2 * workers, system, long.id, signal)
    const clips = await timeClips(times, system, clip)
    const { largest } = await system.notes.committed(long.id)
    await system.api.cancel(long.id)
    await system.ends(long.id, 'cancelled')
    return { clips, largest }
  })
  const half = { ...fleet, dir, workers: workers / 2 }
  const alone = await within(half, async (system) => await timeClips(times, system, clip))
  const behind_s = behind.clips.map(({ fromPost }) => fromPost)
  const behind_from_split_s = behind.clips.map(({ fromSplit }) => fromSplit)
  const alone_s = alone.map(({ fromPost }) => fromPost)
  const alone_from_split_s = alone.map(({ fromSplit }) => fromSplit)
  return {
    ...{ workers, secondsPerFrame, clip_frames: clipFrames, film_frames: filmFrames },
    film_batch_s: rounded(behind.largest * secondsPerFrame),
    ...{ behind_s, alone_s, behind_from_split_s, alone_from_split_s },
    ratio: rounded(median(behind_s) / median(alone_s)),
    ratio_from_split: rounded(median(behind_from_split_s) / median(alone_from_split_s)),
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

async function committedBatches(
  wanted: number,
  { notes, api }: FleetSystem,
  id: string,
  signal: AbortSignal,
): Promise<void> {
  while ((await notes.committed(id)).batches < wanted) {
    const { status } = await api.job(id)
    if (!['queued', 'splitting', 'scoring'].includes(status)) throw new Error(`the film ${status} too early`)
    await wait(200, undefined, { signal })
  }
}

async function timeClips(times: number, system: FleetSystem, clip: string) {
  const timed: { fromPost: number; fromSplit: number }[] = []
  while (timed.length < times) {
    const { id, postedAt } = await system.submit(clip)
    await system.ends(id)
    const { batches } = Report.parse(await system.api.report(id))
    const { lastAt, batches: committed } = await system.notes.committed(id)
    if (committed !== batches.planned) throw new Error(`${committed} of ${batches.planned} batches are noted`)
    const splitAt = await system.notes.splitAt(id)
    timed.push({
      fromPost: rounded((lastAt - postedAt) / 1_000),
      fromSplit: rounded((lastAt - splitAt) / 1_000),
    })
  }
  return timed
}

function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length / 2
  return ((sorted[Math.ceil(middle) - 1] ?? Number.NaN) + (sorted[Math.floor(middle)] ?? Number.NaN)) / 2
}
