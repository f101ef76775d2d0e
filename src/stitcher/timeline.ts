import type { Redis } from 'ioredis'
import type { BlobStore } from '../shared/blob-store.ts'
import type { Incident } from '../shared/incident.ts'
import type { JobPlan } from '../shared/job.ts'
import type { JobFiles } from '../shared/job-files.ts'
import { layout } from '../shared/layout.ts'
import { readEntries, viewBatches } from '../shared/timeline.ts'

type TimelineDeps = {
  redis: Redis
  batchKey: (entry: string) => string
  media: Pick<BlobStore, 'writeJson'>
  files: Pick<JobFiles, 'committed'>
}

/** Writes down what became of each batch, while the queue still knows it, and before segments are removed. */
export function createTimelines({ redis, batchKey, media, files }: TimelineDeps) {
  return async (plan: JobPlan, incidents: Incident[]): Promise<void> => {
    const { jobId, batches } = plan
    // The queue may have lost what it knew: what lies in storage was done, whoever did it.
    const done = await files.committed(jobId)
    const committed = batches.map((_, index) => done.has(index))
    const entries = await readEntries(redis, batchKey, { jobId, from: 0, to: batches.length })
    const known = { plan, jobId, from: 0, entries, incidents, underWay: new Map<number, number>() }
    const views = viewBatches({ ...known, committed, now: Date.now() })
    await media.writeJson(layout.timeline(jobId), { v: 1, batches: views })
  }
}
