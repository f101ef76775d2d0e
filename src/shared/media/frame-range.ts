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
 * the range or it is not. Seeking only saves work, so it may land early, on the keyframe at or before the range; with
 * `seek: false` decoding starts at the start of the file. Where packets carry no times frames are counted instead.
 */
export function readRange(
  plan: Plan,
  range: Range,
  { seek = true } = {},
): { options: string[]; filter: string } {
  const { first, count } = range
  if (plan.keyframes === null)
    return { options: [], filter: `trim=start_frame=${first}:end_frame=${first + count}` }
  const times = timesOf(plan.times, first, count)
  const [from, to] = [times[0] as number, times.at(-1) as number]
  const options = ['-copyts', ...(seek ? seekTo(plan, plan.keyframes, first) : [])]
  return { options, filter: `trim=start_pts=${from}:end_pts=${to + 1}` }
}

function seekTo({ times, format, video, startSeconds }: Plan, keyframes: number[], frame: number): string[] {
  const key = keyframes.findLast((number) => number <= frame)
  if (key === undefined || key === 0) return []
  const [tick] = timesOf(times, key, 1)
  const seconds = ((tick as number) * video.timeBase[0]) / video.timeBase[1]
  const start = exactSeek.test(format) ? seconds : seconds - seekMarginSeconds
  if (start <= startSeconds) return []
  return ['-seek_timestamp', '1', '-noaccurate_seek', '-ss', start.toFixed(6)]
}
