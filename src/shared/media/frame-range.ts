import { timesOf } from '../frame-times.ts'
import type { Plan } from '../job.ts'

export type Range = { first: number; count: number }

/** Formats without an index land anywhere near the time asked for; decoding starts this much earlier in them. */
const seekMarginSeconds = 2
const exactSeek = /mov|mp4|matroska|webm|avi/

/**
 * How to read exactly one range of a source's frames: options before the input, and the filter that picks the frames.
 *
 * Times are compared in the stream's own ticks (`trim` by pts, with `-copyts`), never in rounded seconds: a frame is in
 * the range or it is not. Seeking only saves work, so it may land early, on the keyframe at or before the range.
 */
export function readRange(plan: Plan, range: Range): { options: string[]; filter: string } {
  const times = timesOf(plan.times, range.first, range.count)
  const [first, last] = [times[0] as number, times.at(-1) as number]
  return {
    options: ['-copyts', ...seekTo(plan, range.first)],
    filter: `trim=start_pts=${first}:end_pts=${last + 1}`,
  }
}

function seekTo({ keyframes, times, format, video }: Plan, frame: number): string[] {
  const key = keyframes?.findLast((number) => number <= frame)
  if (key === undefined || key === 0) return []
  const [tick] = timesOf(times, key, 1)
  const seconds = ((tick as number) * video.timeBase[0]) / video.timeBase[1]
  const start = seconds - (exactSeek.test(format) ? 0 : seekMarginSeconds)
  return ['-seek_timestamp', '1', '-noaccurate_seek', '-ss', start.toFixed(6)]
}
