import { join } from 'node:path'
import pMap from 'p-map'
import type { BlobStore } from '../shared/blob-store.ts'
import { InputError, TransientError } from '../shared/errors.ts'
import { batchStarts } from '../shared/frame-times.ts'
import { maxPartBytes } from '../shared/items/ndjson.ts'
import type { JobPlan } from '../shared/job.ts'
import { layout } from '../shared/layout.ts'
import { type SegmentFacts, readSegmentFacts } from '../shared/segment-metadata.ts'
import { expectRoom } from './check-segments.ts'

type Parts = Pick<SegmentFacts, 'replaced' | 'through'> & {
  /** Files, in the order of the batches. */
  paths: string[]
  /** Of all of them. */
  bytes: number
}

/**
 * Downloads the parts of a job into `dir`; every batch must have its own, whole: throws TransientError while one is missing, and
 * InputError `bad-part` for one that is larger than any may be. Of a video it answers which frames have another one's scores, and
 * which the model was not given.
 */
export async function fetchParts(
  media: Pick<BlobStore, 'list' | 'download'>,
  { jobId, batches }: Pick<JobPlan, 'jobId' | 'batches'>,
  dir: string,
  signal: AbortSignal,
): Promise<Parts> {
  const wanted = new Map(batches.map((_, index) => [layout.part(jobId, index), index]))
  const there: (SegmentFacts & { bytes: number; etag: string })[] = []
  for await (const { name, metadata, bytes, etag } of media.list(layout.parts(jobId))) {
    const index = wanted.get(name)
    const facts = index === undefined ? undefined : readSegmentFacts(metadata, batches[index] ?? 0)
    if (index === undefined || !facts) continue
    if (bytes > maxPartBytes)
      throw new InputError(
        'bad-part',
        `Part ${index} of job ${jobId} has ${bytes} bytes; ${maxPartBytes} are the limit.`,
      )
    there[index] = { ...facts, bytes, etag }
  }
  const missing = batches.findIndex((_, index) => !there[index])
  // Its batch may have been lost: it is put on the queue again while this waits for the next attempt.
  if (missing >= 0)
    throw new TransientError(
      `part ${missing} of job ${jobId} is missing or does not have ${batches[missing]} items`,
    )
  const starts = batchStarts(batches)
  const inVideo = (which: 'replaced' | 'through') =>
    there.flatMap((facts, index) => facts[which].map((frame) => (starts[index] ?? 0) + frame))
  const sizes = there.map(({ bytes }) => bytes)
  await expectRoom(dir, sizes)
  const fetch = async ({ bytes, etag }: { bytes: number; etag: string }, index: number) => {
    const path = join(dir, `part-${index}.ndjson`)
    await media.download(layout.part(jobId, index), path, { ifMatch: etag, most: bytes, signal })
    return path
  }
  const paths = await pMap(there, fetch, { concurrency: 8, signal })
  const bytes = sizes.reduce((sum, each) => sum + each, 0)
  return { paths, bytes, replaced: inVideo('replaced'), through: inVideo('through') }
}
