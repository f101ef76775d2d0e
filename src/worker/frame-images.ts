import pMap from 'p-map'
import sharp from 'sharp'
import type { BlobStore } from '../shared/blob-store.ts'
import { InputError, TransientError } from '../shared/errors.ts'
import { openImage } from '../shared/image.ts'
import { layout } from '../shared/layout.ts'
import type { Range } from '../shared/media/frame-range.ts'
import type { Size } from '../shared/models/fit.ts'
import type { SegmentEncoder } from './encode-segment.ts'

const atOnce = 8

type Frames = {
  media: Pick<BlobStore, 'head' | 'read' | 'write'>
  jobId: string
  range: Range
  signal: AbortSignal
}

const framesOf = ({ first, count }: Range) => Array.from({ length: count }, (_, i) => first + i)

/** Frames of a range, by number in the video, that show something else than what the model made of them. */
export type Unscored = { replaced: number[]; through: number[] }

/** An image says it of itself, in its metadata; one that somebody else has written since is as it is to be. */
const shows = 'shows'

/** Which of a range's frames are unscored, where every one is there as an image already; undefined where not. */
export async function keptFrames({ media, jobId, range, signal }: Frames): Promise<Unscored | undefined> {
  let missing = false
  const said = await pMap(
    framesOf(range),
    async (frame) => {
      const head = missing ? undefined : await media.head(layout.frame(jobId, frame))
      missing ||= !head
      return { frame, shows: head?.metadata[shows] }
    },
    { concurrency: atOnce, signal },
  )
  if (missing) return undefined
  const those = (word: keyof Unscored) => said.filter((each) => each.shows === word).map(({ frame }) => frame)
  return { replaced: those('replaced'), through: those('through') }
}

/**
 * Keeps scored frames as PNGs instead of encoding them. One that is there stays: somebody may have edited it. Takes a few at once
 * and makes who writes wait for the rest, and who ends it early for those under way.
 */
export function keepAsImages(
  { media, jobId, range }: Frames,
  { width, height }: Size,
  unscored: Unscored,
): SegmentEncoder {
  const wordOf = new Map<number, keyof Unscored>([
    ...unscored.replaced.map((frame) => [frame, 'replaced'] as const),
    ...unscored.through.map((frame) => [frame, 'through'] as const),
  ])
  const underWay = new Set<Promise<void>>()
  let failed: { error: unknown } | undefined
  const keep = async (pixels: Buffer, place: number) => {
    const png = await sharp(pixels, { raw: { width, height, channels: 3 } })
      .png({ compressionLevel: 3 })
      .toBuffer()
    const frame = range.first + place
    const word = wordOf.get(frame)
    const metadata = word && { [shows]: word }
    await media.write(layout.frame(jobId, frame), png, { ifAbsent: true, contentType: 'image/png', metadata })
  }
  return {
    async write(pixels, frame) {
      if (failed) throw failed.error
      // The buffer is written into again while this one is on its way.
      const keeping = keep(Buffer.from(pixels), frame)
        .catch((error: unknown) => {
          failed ??= { error }
        })
        .finally(() => underWay.delete(keeping))
      underWay.add(keeping)
      if (underWay.size >= atOnce) await Promise.race(underWay)
    },
    async finish() {
      await Promise.all(underWay)
      if (failed) throw failed.error
    },
    async kill() {
      failed ??= { error: new Error('the frames were ended') }
      await Promise.all(underWay)
    },
  }
}

/**
 * Encodes a range from its images, as they are now. Throws InputError `bad-frame`, naming it, for one that is no image or of
 * another size.
 */
export async function encodeImages(
  { media, jobId, range, signal }: Frames,
  { width, height }: Size,
  encoder: SegmentEncoder,
): Promise<void> {
  const read = async (frame: number) => {
    const name = layout.frame(jobId, frame)
    const file = await media.read(name)
    if (!file) throw new TransientError(`The frame ${frame} of job ${jobId} is missing (${name}).`)
    const bad = (why: string) =>
      new InputError(
        'bad-frame',
        `The frame ${frame} (${name}) ${why}; it must be an image of ${width}x${height}.`,
      )
    const { data, info } = await openImage(file)
      .autoOrient()
      .toColourspace('srgb')
      .flatten()
      .raw({ depth: 'uchar' })
      .toBuffer({ resolveWithObject: true })
      .catch(() => {
        throw bad("can't be read")
      })
    if (info.width !== width || info.height !== height) throw bad(`is ${info.width}x${info.height}`)
    return data
  }
  try {
    // Some are read ahead, never more: pixels of a whole batch would not fit.
    const ahead: Promise<Buffer>[] = []
    const frames = framesOf(range)
    for (let i = 0; i < frames.length; i++) {
      signal.throwIfAborted()
      for (let next = i + ahead.length; next < Math.min(frames.length, i + atOnce); next++) {
        const reading = read(frames[next] ?? 0)
        reading.catch(() => {})
        ahead.push(reading)
      }
      await encoder.write(await (ahead.shift() as Promise<Buffer>), i)
    }
    await encoder.finish()
  } catch (error) {
    await encoder.kill()
    throw signal.aborted ? signal.reason : error
  }
}
