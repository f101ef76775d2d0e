import type { BlobStore } from '../shared/blob-store.ts'
import { TransientError } from '../shared/errors.ts'
import { batchStarts } from '../shared/frame-times.ts'
import type { JobSpec, Plan } from '../shared/job.ts'
import { layout } from '../shared/layout.ts'
import { type SegmentFacts, readSegmentFacts } from '../shared/segment-metadata.ts'

/** Every batch must have its segment, whole; answers the frames that carry another picture than their scored one. */
export async function checkSegments(
  media: BlobStore,
  spec: JobSpec,
  plan: Plan,
): Promise<Pick<SegmentFacts, 'replaced' | 'through'>> {
  const there = new Map<string, SegmentFacts>()
  for await (const { name, metadata } of media.list(layout.segments(spec.id))) {
    there.set(name, readSegmentFacts(metadata))
  }
  const starts = batchStarts(plan.batches)
  const facts = plan.batches.map((count, index) => {
    const segment = there.get(layout.segment(spec.id, index))
    if (segment?.frames === count) return { ...segment, start: starts[index] ?? 0 }
    // Its batch may have been lost: it is put on the queue again while this waits for the next attempt.
    throw new TransientError(`segment ${index} of job ${spec.id} is missing or does not have ${count} frames`)
  })
  const inVideo = (which: 'replaced' | 'through') =>
    facts.flatMap((segment) => segment[which].map((frame) => segment.start + frame))
  return { replaced: inVideo('replaced'), through: inVideo('through') }
}
