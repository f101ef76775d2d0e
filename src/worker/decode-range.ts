import { InputError, TransientError } from '../shared/errors.ts'
import { timesOf } from '../shared/frame-times.ts'
import type { Plan } from '../shared/job.ts'
import { MediaToolError, ffmpegArgs, mostPixels, readLines, startMedia } from '../shared/media/ffmpeg.ts'
import { type Range, readRange } from '../shared/media/frame-range.ts'
import { conversion, toRgb } from './colours.ts'

export type Picture = { width: number; height: number }

type DecodeJob = {
  path: string
  plan: Plan
  range: Range
  picture: Picture
  signal: AbortSignal
  /** A decoder that makes no progress for this long is ended. */
  stallMs?: number
  /** Of the decoder; its own choice when absent. */
  threads?: number
  /** False: decode from the start of the file, because seeking came up short. */
  seek?: boolean
}

/** The command that decodes exactly one range of frames, at the size the model takes. */
function decodeArgs(
  { path, plan, range, picture: { width, height }, threads = 0, seek }: DecodeJob,
  output: string[],
): string[] {
  const { options, filter } = readRange(plan, range, { seek })
  const scale = [`${width}:${height}`, ...toRgb(plan.video.colour), 'out_range=pc', conversion].join(':')
  const filters = [filter, `scale=${scale}`, 'format=rgb24'].join(',')
  return ffmpegArgs(
    [{ path, options: ['-threads', `${threads}`, '-max_pixels', `${mostPixels}`, ...options] }],
    {
      path: 'pipe:1',
      options: ['-map', `0:${plan.video.index}`, '-vf', filters, '-fps_mode', 'passthrough', ...output],
    },
  )
}

/**
 * Decodes a range: fills one buffer after another of `width * height * 3` bytes, in RGB order. `take` gives the buffer
 * for the next frame (and may wait until one is free); `put` is told that it is full.
 * Throws `ShortDecode` when the source yields fewer or more frames than the plan names.
 */
export async function decodeRange(
  job: DecodeJob,
  take: () => Promise<Uint8Array>,
  put: (frame: number) => void,
) {
  const { range, signal, stallMs } = job
  const run = startMedia('ffmpeg', decodeArgs(job, ['-f', 'rawvideo']), { signal, stallMs })
  let decoded = 0
  let filled = 0
  let frame: Uint8Array | undefined
  try {
    for await (const chunk of run.stdout as AsyncIterable<Buffer>) {
      run.touch()
      for (let at = 0; at < chunk.length;) {
        if (decoded === range.count) throw new ShortDecode(`more than ${range.count}`)
        frame ??= await run.hold(take())
        const part = chunk.subarray(at, at + frame.length - filled)
        frame.set(part, filled)
        at += part.length
        filled += part.length
        if (filled < frame.length) continue
        put(decoded++)
        frame = undefined
        filled = 0
      }
    }
    await run.done.catch((error: unknown) => {
      // Only what the decoder itself said: the stages behind it break in ways of their own.
      throw error instanceof MediaToolError ? new ShortDecode(`${decoded} (${error.message})`) : error
    })
  } finally {
    run.kill()
  }
  if (decoded !== range.count) throw new ShortDecode(String(decoded))
}

/** The source did not yield the frames of the plan. */
export class ShortDecode extends TransientError {
  override name = 'ShortDecode'
  constructor(got: string) {
    super(`the source yielded ${got} frames of a batch`)
  }
}

/**
 * Frames of a range that the decoder does not yield, by number in the video; found by decoding it once more. None are
 * found in a file whose frames are counted, not timed.
 */
export async function findUndecodable(job: DecodeJob): Promise<number[]> {
  const { plan, range, signal, stallMs } = job
  if (plan.keyframes === null) return []
  const args = decodeArgs(job, ['-f', 'framecrc', '-enc_time_base', '-1'])
  const seen = new Set<number>()
  try {
    // Lines of framecrc: stream, dts, pts, duration, size, checksum; times in the stream's ticks.
    for await (const line of readLines('ffmpeg', args, { signal, stallMs })) {
      const fields = line.startsWith('#') ? [] : line.split(',')
      if (fields.length >= 6) seen.add(Number(fields[2]))
    }
  } catch (error) {
    if (!(error instanceof MediaToolError)) throw error
  }
  const times = timesOf(plan.times, range.first, range.count)
  return times.flatMap((tick, i) => (seen.has(tick) ? [] : [range.first + i]))
}

export function damagedFrames(plan: Plan, frames: number[]): InputError {
  const [first = 0] = frames
  const [tick = 0] = timesOf(plan.times, first, 1)
  const seconds = ((tick - plan.times.first) * plan.video.timeBase[0]) / plan.video.timeBase[1]
  const which =
    frames.length === 1 ? `frame ${first}` : `${frames.length} frames, the first of them ${first},`
  return new InputError(
    'damaged-source',
    `The source is damaged: ${which} at ${seconds.toFixed(3)} s can't be decoded. With onError "passthrough" the nearest good frame takes its place.`,
  )
}
