import { InputError } from '../shared/errors.ts'
import { readFrameTimes, readPackets } from '../shared/media/ffprobe.ts'
import { type SourceFacts, maxFrames, notAVideo } from './probe.ts'
import { type ShownFrames, createShownFrames, keyframesOf } from './shown-frames.ts'

export type FrameIndex = {
  /** The time of every frame, ascending, in ticks of the stream's time base. */
  times: ArrayLike<number>
  /** Frame numbers that decoding may start from; null when packets carry no times, and only a full decode is exact. */
  keyframes: number[] | null
  warnings: string[]
}

/** A week: longer than any recording, and short enough for every clock that a container keeps. */
const maxSeconds = 7 * 86_400
const cutShort = /ended prematurely|partial file|truncat/i

/**
 * The index of a source: when each frame is shown, and where decoding can start. Read from the packets, without
 * decoding. Throws InputError when there is nothing to decode, the file ends before its end, or its clock jumps back.
 */
export async function indexFrames(
  path: string,
  facts: SourceFacts,
  signal?: AbortSignal,
): Promise<FrameIndex> {
  const index = await readIndex(path, facts, signal)
  const { times } = index
  const [first = 0, last = 0] = [times[0], times[times.length - 1]]
  const seconds = ((last - first) * facts.video.timeBase[0]) / facts.video.timeBase[1]
  if (seconds > maxSeconds) {
    throw new InputError(
      'too-long',
      `The source lasts ${Math.round(seconds)} s by its clock; ${maxSeconds} s are the limit.`,
    )
  }
  return index
}

async function readIndex(path: string, facts: SourceFacts, signal?: AbortSignal): Promise<FrameIndex> {
  const found = await scanPackets(path, facts, signal).catch((error: unknown) => {
    throw notAVideo(error)
  })
  if (found.untimed) return { times: await decodeTimes(path, facts, signal), keyframes: null, warnings: [] }
  const { shown, dropped } = await withoutBrokenHead(path, facts, found, signal)
  const warnings =
    dropped > 0 ? [`${dropped} frames before the first keyframe can't be decoded and are left out`] : []
  return { times: shown.times, keyframes: keyframesOf(shown), warnings }
}

type Scan = { shown: ShownFrames; beforeKey: number; untimed: boolean }

async function scanPackets(path: string, facts: SourceFacts, signal?: AbortSignal): Promise<Scan> {
  const frames = createShownFrames()
  const [packets, beforeKey, last] = [counter(), counter(), { dts: -Infinity }]
  let untimed = false
  let seenKey = false
  let complaint = ''
  const onComplaint = (said: string) => {
    complaint = said
  }
  for await (const packet of readPackets(path, facts.video.index, { signal, onComplaint })) {
    if (packets.up() > maxFrames) throw tooManyFrames()
    // Only formats for broadcasting let the clock start anew in the middle of a file.
    if (facts.format.startsWith('mpeg') && (packet.dts ?? Infinity) < last.dts) throw jumpsBack(packets.value)
    last.dts = packet.dts ?? last.dts
    seenKey ||= packet.key
    if (packet.discard) continue
    if (!seenKey) beforeKey.up()
    else if (packet.pts === undefined) untimed = true
    else frames.add(packet.pts, packet.key)
  }
  if (packets.value === 0)
    throw new InputError('no-frames', 'The source has a video stream without a single frame.')
  if (!seenKey) {
    throw new InputError('no-keyframe', 'The source has no keyframe, so none of its frames can be decoded.')
  }
  if (cutShort.test(complaint) || (facts.promisedFrames ?? 0) > packets.value) {
    const promised = facts.promisedFrames ? ` of the ${facts.promisedFrames} its index names` : ''
    throw new InputError(
      'truncated',
      `The source is cut short: ${packets.value} frames can be read${promised}.`,
    )
  }
  const shown = frames.inOrder()
  untimed ||= shown.times.some((time, i) => time === shown.times[i + 1])
  return { shown, beforeKey: beforeKey.value, untimed }
}

/**
 * A recording cut out of a stream begins with frames that lean on a keyframe which is not in the file: stored before
 * the first keyframe, or after it but shown before it. The latter may or may not decode; the decoder is asked.
 */
async function withoutBrokenHead(
  path: string,
  facts: SourceFacts,
  { shown, beforeKey }: Scan,
  signal?: AbortSignal,
) {
  const { times, keys } = shown
  const firstKey = keys.indexOf(1)
  if (firstKey <= 0) return { shown, dropped: beforeKey }
  const keyTime = times[firstKey] ?? 0
  const decodable = new Set<number>()
  for await (const time of readFrameTimes(path, facts.video.index, signal)) {
    if (time === undefined || time >= keyTime) break
    decodable.add(time)
  }
  const kept = createShownFrames()
  for (const [i, time] of times.entries()) {
    if (time >= keyTime || decodable.has(time)) kept.add(time, keys[i] === 1)
  }
  const left = kept.inOrder()
  return { shown: left, dropped: beforeKey + times.length - left.times.length }
}

/** Every frame that a full decode gives; those without a time get the one their neighbours leave for them. */
async function decodeTimes(path: string, facts: SourceFacts, signal?: AbortSignal): Promise<number[]> {
  const decoded: (number | undefined)[] = []
  try {
    for await (const time of readFrameTimes(path, facts.video.index, signal)) {
      if (decoded.push(time) > maxFrames) throw tooManyFrames()
    }
  } catch (error) {
    throw notAVideo(error)
  }
  const known = decoded.findIndex((time) => time !== undefined)
  if (decoded.length === 0) throw new InputError('no-frames', "None of the source's frames can be decoded.")
  if (known < 0) {
    throw new InputError(
      'no-times',
      "The source's frames carry no times; put the stream into a container, such as MP4.",
    )
  }
  const { timeBase, frameRate } = facts.video
  const step = Math.max(1, Math.round((frameRate[1] * timeBase[1]) / (frameRate[0] * timeBase[0])))
  const times: number[] = []
  for (const [i, time] of decoded.entries()) {
    times.push(time ?? (i < known ? (decoded[known] ?? 0) - (known - i) * step : (times[i - 1] ?? 0) + step))
  }
  if (times.some((time, i) => time >= (times[i + 1] ?? Infinity))) {
    throw new InputError(
      'bad-times',
      "The source's frames carry times that don't ascend, so their order is not known.",
    )
  }
  return times
}

const tooManyFrames = () =>
  new InputError('too-long', `The source has more than ${maxFrames} frames, which are the limit.`)

const jumpsBack = (frame: number) =>
  new InputError(
    'bad-times',
    `The source's clock jumps back at frame ${frame}, as when recordings are put one behind the other; join them anew, or submit each by itself.`,
  )

function counter() {
  const self = { value: 0, up: () => ++self.value }
  return self
}
