import type { BlobStore } from '../shared/blob-store.ts'
import type { JobSpec } from '../shared/job.ts'
import { layout, outputMark } from '../shared/layout.ts'

/** Enough to see what a job did. */
const mostShown = 8
/** Where others have written before, so many blobs are looked at and no more. */
const mostLookedAt = 5_000

export type MadeImage = { blob: string; /** Behind the prefix. */ name: string }

/** The first few images that a job made. Under a prefix of its choice others may lie as well: those are not its own. */
export async function firstImages(media: Pick<BlobStore, 'list'>, spec: JobSpec): Promise<MadeImage[]> {
  const prefix = spec.request.output.images?.prefix ?? layout.images(spec.id)
  const found: MadeImage[] = []
  let lookedAt = 0
  for await (const { name: blob, metadata } of media.list(prefix)) {
    if (metadata[outputMark] === spec.id) found.push({ blob, name: blob.slice(prefix.length) })
    if (found.length === mostShown || ++lookedAt === mostLookedAt) break
  }
  return found
}
