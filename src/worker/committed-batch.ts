import type { BlobStore } from '../shared/blob-store.ts'
import type { BatchPayload, BatchResult } from '../shared/job.ts'
import { layout } from '../shared/layout.ts'
import { readSegmentFacts } from '../shared/segment-metadata.ts'

/** What became of a batch that is committed already, by whomever; undefined for one that has no whole segment. */
export async function committedBatch(
  media: Pick<BlobStore, 'head'>,
  { jobId, index, first, count }: BatchPayload,
): Promise<BatchResult | undefined> {
  const there = await media.head(layout.segment(jobId, index))
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
