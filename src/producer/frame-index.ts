import { InputError } from '../shared/errors.ts'
import { readFrameTimes, readPackets } from '../shared/media/ffprobe.ts'
import { type SourceFacts, notAVideo } from './probe.ts'

export type FrameIndex = {
  /** The time of every frame, ascending, in ticks of the stream's time base. */
  times: number[]
  /** Frame numbers that decoding may start from; null when packets carry no times, and only a full decode is exact. */
  keyframes: number[] | null
  warnings: string[]
}

const maxFrames = 5_000_000
const cutShort = /ended prematurely|partial file|truncat/i

/**
 * The index of a source: when each frame is shown, and where decoding can start. Read from the packets, without
 * decoding. Throws InputError when there is nothing to decode, or the file ends before its end.
 */
export async function indexFrames(
  path: string,
  facts: SourceFacts,
  signal?: AbortSignal,
): Promise<FrameIndex> {
  const { index: stream } = facts.video
  const shown: { pts: number; key: boolean }[] = []
  let packets = 0
  let beforeKey = 0
  let untimed = false
  let seenKey = false
  let complaint = ''
  try {
    for await (const packet of readPackets(path, stream, {
      signal,
      onComplaint: (said) => (complaint = said),
    })) {
      if (++packets > maxFrames)
        throw new InputError('too-long', `The source has more than ${maxFrames} frames.`)
      seenKey ||= packet.key
      if (packet.discard) continue
      if (!seenKey) beforeKey++
      else if (packet.pts === undefined) untimed = true
      else shown.push({ pts: packet.pts, key: packet.key })
    }
  } catch (error) {
    throw notAVideo(error)
  }
  if (packets === 0)
    throw new InputError('no-frames', 'The source has a video stream without a single frame.')
  if (!seenKey)
    throw new InputError('no-keyframe', 'The source has no keyframe, so none of its frames can be decoded.')
  if (cutShort.test(complaint) || (facts.promisedFrames ?? 0) > packets) {
    const promised = facts.promisedFrames ? ` of the ${facts.promisedFrames} its index names` : ''
    throw new InputError('truncated', `The source is cut short: ${packets} frames can be read${promised}.`)
  }
  const warnings =
    beforeKey > 0 ? [`${beforeKey} frames before the first keyframe can't be decoded and are left out`] : []

  shown.sort((a, b) => a.pts - b.pts)
  if (untimed || hasDoubles(shown))
    return { times: await decodeTimes(path, stream, signal), keyframes: null, warnings }
  const keyframes = shown.flatMap((frame, number) => (frame.key ? [number] : []))
  return { times: shown.map((frame) => frame.pts), keyframes, warnings }
}

const hasDoubles = (sorted: { pts: number }[]) => sorted.some((frame, i) => frame.pts === sorted[i + 1]?.pts)

async function decodeTimes(path: string, stream: number, signal?: AbortSignal): Promise<number[]> {
  const times: number[] = []
  try {
    for await (const time of readFrameTimes(path, stream, signal)) times.push(time)
  } catch (error) {
    throw notAVideo(error)
  }
  if (times.length === 0) throw new InputError('no-frames', "None of the source's frames can be decoded.")
  if (times.some((time, i) => time >= (times[i + 1] ?? Infinity))) {
    throw new InputError(
      'bad-times',
      "The source's frames carry times that don't ascend, so their order is not known.",
    )
  }
  return times
}
