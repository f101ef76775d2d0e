import { createHash } from 'node:crypto'
import { extname } from 'node:path'
import { z } from 'zod'
import type { BlobStore } from '../shared/blob-store.ts'
import { InputError, TransientError } from '../shared/errors.ts'
import { type ItemSink, namesImage } from '../shared/items/item.ts'
import { type ImageFormat, extensionsOf, imageFormats } from '../shared/items/request.ts'
import { groupOf, isItemsPlan, nameInResult } from '../shared/items/items-plan.ts'
import type { JobPlan, JobSpec } from '../shared/job.ts'
import { layout, outputMark } from '../shared/layout.ts'

/** Images under way at once: these many bytes of them, by the largest there was so far, of which one is held before it is known. */
const heldBytes = 256 << 20
const mostAtOnce = 64
const fewAtOnce = 16
const Made = z.object({ made: z.string(), format: z.enum(imageFormats) })

/**
 * Brings the images that workers made to where the job wants them, below its own folder by default: workers may write nowhere
 * else. An image is called what its item is; where it is of another format, that is put behind. Where several models make one of each item,
 * each has a folder.
 */
export function imagesSink(
  media: Pick<BlobStore, 'read' | 'write' | 'url'>,
  { spec, plan, signal }: { spec: JobSpec; plan: JobPlan; signal: AbortSignal },
): ItemSink {
  const prefix = spec.request.output.images?.prefix ?? layout.images(spec.id)
  const all = createHash('sha256')
  const underWay = new Set<Promise<void>>()
  let failed: { error: unknown } | undefined
  let bytes = 0
  let largest = 0
  const atOnce = () =>
    largest === 0 ? fewAtOnce : Math.max(1, Math.min(mostAtOnce, Math.floor(heldBytes / largest)))

  /** By the plan and not by what a part says. */
  const folderOf = (batch: number): string => {
    if ((spec.models?.length ?? 0) < 2 || !isItemsPlan(plan)) return prefix
    return `${prefix}${nameInResult(spec, groupOf(spec, plan, batch).model)}/`
  }

  async function copy(name: string, made: string, format: ImageFormat): Promise<void> {
    const image = await media.read(made)
    if (!image) throw new TransientError(`The image for ${name} is missing (${made}).`)
    bytes += image.length
    largest = Math.max(largest, image.length)
    await media.write(name, image, {
      contentType: `image/${format}`,
      metadata: { [outputMark]: spec.id },
    })
  }

  return {
    async write(line, batch) {
      if ('error' in line) return
      if (failed) throw failed.error
      signal.throwIfAborted()
      const { made, format } = Made.parse(line.value)
      // A part is a worker's word: it must lead neither out of its job nor out of the output's folder.
      if (
        !namesImage(line.key) ||
        !made.startsWith(layout.segments(spec.id)) ||
        /(^|\/)\.{1,2}(\/|$)/.test(made)
      )
        throw new InputError('bad-part', `A part of job ${spec.id} names what is not its own.`)
      const folder = folderOf(batch)
      all.update(`${folder.slice(prefix.length)}${line.key}\n`)
      const copying = copy(`${folder}${nameOf(line.key, format)}`, made, format)
        .catch((error: unknown) => {
          failed ??= { error }
        })
        .finally(() => underWay.delete(copying))
      underWay.add(copying)
      while (underWay.size >= atOnce()) await Promise.race(underWay)
    },
    async end() {
      await Promise.all(underWay)
      if (failed) throw failed.error
      return { url: media.url(prefix), bytes, sha256: all.digest('hex') }
    },
  }
}

function nameOf(key: string, format: ImageFormat): string {
  const ending = extname(key).slice(1).toLowerCase()
  const [first] = extensionsOf[format]
  return extensionsOf[format].includes(ending) ? key : `${key}.${first}`
}
