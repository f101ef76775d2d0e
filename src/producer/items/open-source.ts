import type { BlobStore } from '../../shared/blob-store.ts'
import type { ItemSource } from '../../shared/items/item.ts'
import type { JobSecret, JobSpec } from '../../shared/job.ts'
import type { ModelStore } from '../../shared/models/model-store.ts'
import type { SourceReader } from '../../shared/source.ts'
import { imagesSource } from './images-source.ts'
import { tableSource } from './table-source.ts'

export type SourceDeps = {
  media: BlobStore
  sources: SourceReader
  models: Pick<ModelStore, 'find'>
  /** Of one file. */
  maxSourceBytes: number
  /** Which hosts may be read from. */
  policy: { mediaUrl: string; allowed: string[] }
}

/** The items of a job that is no video; `dir` is a folder for files, gone afterwards. Throws InputError for what can't be read. */
export async function openItemSource(
  deps: SourceDeps,
  job: { spec: JobSpec; secret: JobSecret; dir: string; signal: AbortSignal },
): Promise<ItemSource> {
  const { images, table } = job.spec.request.source
  if (images) return imagesSource(deps, { ...job, images })
  if (table) return tableSource(deps, { ...job, table })
  throw new Error(`the job ${job.spec.id} is of no kind that can be planned`)
}
