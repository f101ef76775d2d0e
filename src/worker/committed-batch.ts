import type { BlobStore } from '../shared/blob-store.ts'
import type { BatchPayload, BatchResult } from '../shared/job.ts'
import { parseLines, readPartLine } from '../shared/items/ndjson.ts'
import { layout } from '../shared/layout.ts'
import { readSegmentFacts } from '../shared/segment-metadata.ts'

/** What became of a batch that is committed already, by whomever; undefined for one that has no whole segment, or part. */
export async function committedBatch(
  media: Pick<BlobStore, 'head'>,
  { jobId, index, first, count }: BatchPayload,
): Promise<BatchResult | undefined> {
  const there =
    (await media.head(layout.segment(jobId, index))) ?? (await media.head(layout.part(jobId, index)))
  if (!there) return undefined
  const facts = readSegmentFacts(there.metadata, count)
  if (!facts) return undefined
  const inVideo = (some: number[]) => some.map((frame) => first + frame)
  return {
    frames: count,
    replaced: inVideo(facts.replaced),
    through: inVideo(facts.through),
    ms: {},
    skipped: 'committed',
  }
}

/** Takes back what was committed too late. A worker may list nothing: of images the part says which there are. */
export async function removeCommitted(
  media: Pick<BlobStore, 'read' | 'remove'>,
  { jobId, index }: BatchPayload,
  isOfVideo: boolean,
): Promise<void> {
  if (isOfVideo) return await media.remove([layout.segment(jobId, index)])
  const name = layout.part(jobId, index)
  const lines = parseLines((await media.read(name)) ?? Buffer.alloc(0), readPartLine)
  const made = lines.flatMap((line) =>
    'value' in line && typeof line.value['made'] === 'string' ? line.value['made'] : [],
  )
  for (const each of [...made, name]) await media.remove([each])
}
