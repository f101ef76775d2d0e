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

/** Whether every scored frame of a range is there as an image already. */
export async function areKept({ media, jobId, range, signal }: Frames): Promise<boolean> {
  let missing = false
  await pMap(
    framesOf(range),
    async (frame) => {
      if (!missing && !(await media.head(layout.frame(jobId, frame)))) missing = true
    },
    { concurrency: atOnce, signal },
  )
  return !missing
}

/**
 * Keeps scored frames as PNGs instead of encoding them. One that is there stays: somebody may have edited it. Takes a few at once
 * and makes who writes wait for the rest.
 */
export function keepAsImages({ media, jobId, range }: Frames, { width, height }: Size): SegmentEncoder {
  const underWay = new Set<Promise<void>>()
  let failed: { error: unknown } | undefined
  const keep = async (pixels: Buffer, frame: number) => {
    const png = await sharp(pixels, { raw: { width, height, channels: 3 } })
      .png({ compressionLevel: 3 })
      .toBuffer()
    const options = { ifAbsent: true, contentType: 'image/png' }
    await media.write(layout.frame(jobId, range.first + frame), png, options)
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
    kill() {},
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
    encoder.kill()
    throw signal.aborted ? signal.reason : error
  }
}
