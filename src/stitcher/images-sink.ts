import { createHash } from 'node:crypto'
import { join } from 'node:path'
import type { BlobStore } from '../shared/blob-store.ts'
import { InputError, TransientError } from '../shared/errors.ts'
import type { ItemSink } from '../shared/items/item.ts'
import type { JobPlan, JobSpec } from '../shared/job.ts'
import { outputMark } from '../shared/layout.ts'
import { expectRoom } from './check-segments.ts'
import { type NamedImage, imageNames } from './image-names.ts'

const atOnce = 64
/** Of these an image is held in memory; what is larger goes by way of the disk, where few are at once. */
const heldBytes = 4 << 20
const filesAtOnce = 6
/** Pictures of 64 megapixels, three times as wide and as high, in a format that gains nothing. */
const mostBytes = 4 * 2 ** 30

type Job = {
  spec: JobSpec
  plan: JobPlan
  /** Where they go, with a slash at its end. */
  prefix: string
  dir: string
  signal: AbortSignal
}

/**
 * Brings the images that workers made to where the job wants them: workers may write nowhere else. Those that can't have their
 * name are passed over; the count says so.
 */
export function imagesSink(
  media: Pick<BlobStore, 'read' | 'write' | 'download' | 'uploadFile' | 'url'>,
  { spec, plan, prefix, dir, signal }: Job,
): ItemSink {
  const named = imageNames(spec, plan, prefix)
  const all = createHash('sha256')
  const underWay = new Set<Promise<void>>()
  const lanes = Array.from({ length: filesAtOnce }, () => Promise.resolve())
  let failed: { error: unknown } | undefined
  let bytes = 0
  let files = 0

  const optionsOf = ({ format }: NamedImage) => ({
    contentType: `image/${format}`,
    metadata: { [outputMark]: spec.id },
  })

  async function copy(image: NamedImage): Promise<void> {
    const { name, made } = image
    try {
      const held = await media.read(made, { most: heldBytes, tooMany, signal })
      if (!held) throw new TransientError(`The image for ${name} is missing (${made}).`)
      bytes += held.length
      await media.write(name, held, optionsOf(image))
    } catch (error) {
      if (!(error instanceof TooMany)) throw error
      bytes += error.bytes
      await inLane((path) => copyFile(image, error.bytes, path))
    }
  }

  async function copyFile(image: NamedImage, length: number, path: string): Promise<void> {
    const { name, made } = image
    if (length > mostBytes)
      throw new InputError('bad-part', `The image for ${name} (${made}) has ${length} bytes.`)
    await expectRoom(dir, [length])
    await media.download(made, path, { most: length, signal })
    await media.uploadFile(name, path, { ...optionsOf(image), signal })
  }

  async function inLane(work: (path: string) => Promise<void>): Promise<void> {
    const lane = files++ % filesAtOnce
    const turn = (lanes[lane] ?? Promise.resolve()).then(async () => await work(join(dir, `image-${lane}`)))
    lanes[lane] = turn
    await turn
  }

  /** Nothing is written any more once this has thrown. */
  async function stop(): Promise<never> {
    await Promise.all(underWay)
    throw failed ? failed.error : signal.reason
  }

  return {
    async write(line, batch) {
      if ('error' in line) return
      if (failed || signal.aborted) await stop()
      const image = named(line, batch)
      if (image.wrong) return
      all.update(`${image.name.slice(prefix.length)}\n`)
      const copying = copy(image)
        .catch((error: unknown) => {
          failed ??= { error }
        })
        .finally(() => underWay.delete(copying))
      underWay.add(copying)
      while (underWay.size >= atOnce) await Promise.race(underWay)
    },
    async end() {
      await Promise.all(underWay)
      if (failed) await stop()
      return { url: media.url(prefix), bytes, sha256: all.digest('hex') }
    },
  }
}

class TooMany extends Error {
  readonly bytes: number
  constructor(bytes: number) {
    super(`${bytes} bytes`)
    this.bytes = bytes
  }
}
const tooMany = (bytes: number) => new TooMany(bytes)
