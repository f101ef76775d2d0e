import { unescaped } from '../shared/blob-name.ts'
import type { BlobStore } from '../shared/blob-store.ts'
import { InputError } from '../shared/errors.ts'
import { imageName } from '../shared/items/item.ts'
import type { JobRequest } from '../shared/job.ts'

type Media = Pick<BlobStore, 'nameOf'>

/**
 * Tells of a source, by its URL or its name in the media container, where the job's output would be written over it. Throws
 * InputError `bad-output` then.
 */
export function createKeeper(media: Media, { url, images, scores }: JobRequest['output']) {
  const written = new Set([url, scores?.url].filter((each) => each !== undefined).map(placeOf))
  const prefix = images?.prefix

  /** A blob of the container by its name, however its URL is spelt; anything else by its URL without what is secret. */
  function placeOf(place: string): string {
    const { origin, pathname } = new URL(place)
    return media.nameOf(place) ?? `${origin}${unescaped(pathname) ?? pathname}`
  }

  return {
    keepUrl: (source: string) => keep(placeOf(source)),
    keepName: (name: string) => keep(name),
  }

  function keep(source: string): void {
    if (!written.has(source) && (prefix === undefined || !source.startsWith(prefix))) return
    throw new InputError('bad-output', `The output would be written over its source, ${source}.`)
  }
}

/** Throws InputError `bad-output` where it can be seen at once that the output would be written over what it is made of. */
export function keepSources(media: Media, { source, style, output }: JobRequest): void {
  const { images, table } = source
  const { keepUrl } = createKeeper(media, output)
  for (const url of [source.url, style?.url, table?.url, ...(images?.list ?? [])])
    if (url !== undefined) keepUrl(url)
  const { manifest } = images ?? {}
  const { scores } = output
  // A manifest may lie beside the images that are made: none of them is called as it is.
  if (manifest !== undefined)
    createKeeper(media, imageName.test(manifest.replace(/\?.*/, '')) ? output : { scores }).keepUrl(manifest)

  const from = images?.prefix ?? table?.prefix
  const to = output.images?.prefix
  if (from === undefined) return
  if (to !== undefined && (from.startsWith(to) || to.startsWith(from)))
    throw new InputError(
      'bad-output',
      `The output's prefix ${to} and the source's ${from} lie in each other: what is made would be read, or written over.`,
    )
  const file = scores?.url === undefined ? undefined : media.nameOf(scores.url)
  if (file?.startsWith(from) && (table || imageName.test(file)))
    throw new InputError(
      'bad-output',
      `The output ${file} lies below the source's prefix ${from}: it would be read, or written over what is there.`,
    )
}
