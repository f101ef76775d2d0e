import type { Redis } from 'ioredis'
import type { BlobStore } from '../shared/blob-store.ts'
import type { Incident } from '../shared/incident.ts'
import type { JobPlan } from '../shared/job.ts'
import { layout } from '../shared/layout.ts'
import { readEntries, viewBatches } from '../shared/timeline.ts'

type TimelineDeps = { redis: Redis; batchKey: (entry: string) => string; media: Pick<BlobStore, 'writeJson'> }

/** Writes down what became of each batch, while the queue still knows it. */
export function createTimelines({ redis, batchKey, media }: TimelineDeps) {
  return async (plan: JobPlan, incidents: Incident[]): Promise<void> => {
    const { jobId, batches } = plan
    const entries = await readEntries(redis, batchKey, { jobId, from: 0, to: batches.length })
    const known = { plan, jobId, from: 0, entries, incidents, underWay: new Map<number, number>() }
    const views = viewBatches({ ...known, committed: [], now: Date.now() })
    await media.writeJson(layout.timeline(jobId), { v: 1, batches: views })
  }
}
