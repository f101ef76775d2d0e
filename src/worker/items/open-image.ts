import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { type BlobStore, explainStorage } from '../../shared/blob-store.ts'
import { InputError } from '../../shared/errors.ts'
import type { Item } from '../../shared/items/item.ts'
import { fitFrames, type Size } from '../../shared/models/fit.ts'
import type { ModelManifest } from '../../shared/models/manifest.ts'
import type { SourceReader } from '../../shared/source.ts'
import { type ImageFacts, lookAtImage } from './image-files.ts'
import type { ItemsJob } from './item-scorer.ts'

export type ImageStores = {
  media: Pick<BlobStore, 'download' | 'url'>
  sources: Pick<SourceReader, 'look' | 'open'>
}

const maxImageBytes = 256 << 20

/** An image that was fetched and looked at. `frame`: its size as it comes to the model; `picture`: that of what it becomes. */
export type Opened = {
  place: number
  item: Item
  path: string
  facts: ImageFacts
  picture: Size
  frame: Size
}

/** Fetches the item at `place` and looks at it. Throws InputError for what is wrong with it. */
export async function openImageItem(
  { media, sources }: ImageStores,
  { items, queries, dir, signal }: Pick<ItemsJob, 'items' | 'queries' | 'dir' | 'signal'>,
  { manifest, place }: { manifest: ModelManifest; place: number },
): Promise<Opened> {
  const item = items[place] as Item
  if (item.error) throw new InputError(item.error.code, item.error.message)
  const path = join(dir, `image-${place}`)
  if (item.name !== undefined) {
    const { name } = item
    // One request is all that most images take: a folder of them is made of little else.
    await media.download(name, path, { most: maxImageBytes, tooMany, signal }).catch((error: unknown) => {
      throw explainStorage(error, media.url(name))
    })
    if ((await stat(path)).size === 0) throw empty
  } else {
    const query = queries[place] ?? ''
    const source = await sources.look(`${item.url ?? ''}${query}`)
    if (source.bytes > maxImageBytes) throw tooMany(source.bytes)
    if (source.bytes === 0) throw empty
    await sources.open(source, query, path, signal)
  }
  const facts = await lookAtImage(path)
  const { frame, picture } = fitFrames(manifest, facts)
  return { place, item, path, facts, frame, picture }
}

const tooMany = (bytes: number) =>
  new InputError('image-too-large', `It has ${bytes} bytes; ${maxImageBytes} are the limit.`)
const empty = new InputError('bad-image', 'It is empty (0 bytes).')
