import pMap from 'p-map'
import type { BlobStore } from '../shared/blob-store.ts'
import { layout } from '../shared/layout.ts'
import type { ShownFrame } from './preview.ts'

/** Uploads the frames that a preview shows, one by one and larger, for people who compare them. */
export async function uploadPairs(
  media: Pick<BlobStore, 'uploadFile'>,
  jobId: string,
  shown: ShownFrame[],
  signal: AbortSignal,
): Promise<void> {
  const files = shown.flatMap(({ frame, before, after }) => [
    { name: layout.pair(jobId, frame, 'before'), path: before },
    { name: layout.pair(jobId, frame, 'after'), path: after },
  ])
  const options = { contentType: 'image/jpeg', signal }
  await pMap(files, async ({ name, path }) => await media.uploadFile(name, path, options), { concurrency: 4 })
}
