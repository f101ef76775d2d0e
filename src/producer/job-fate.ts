import type { BlobItem } from '../shared/blob-store.ts'
import { layout } from '../shared/layout.ts'

const dayMs = 86_400_000

/** What a job's fate hangs on, however many blobs it has. Times are in ms. */
export type JobSeen = {
  id: string
  hasSpec: boolean
  hasLeftovers: boolean
  newest: number
  ended?: number
  newestFrame?: number
  newestItem?: number
}

export const newJobSeen = (id: string): JobSeen => ({ id, hasSpec: false, hasLeftovers: false, newest: 0 })

/** Takes one more blob of the job into account. */
export function seeBlob(job: JobSeen, { name, modified }: Pick<BlobItem, 'name' | 'modified'>): void {
  const { id } = job
  const at = modified.getTime()
  job.newest = Math.max(job.newest, at)
  if (name === layout.spec(id)) job.hasSpec = true
  if (name === layout.report(id)) job.ended = at
  if (leftovers(id).some((prefix) => name.startsWith(prefix))) job.hasLeftovers = true
  if (name.startsWith(layout.frames(id))) job.newestFrame = Math.max(job.newestFrame ?? 0, at)
  if (name.startsWith(layout.items(id))) job.newestItem = Math.max(job.newestItem ?? 0, at)
}

export type Fate = 'kept' | 'leftovers' | 'frames' | 'forsaken' | 'expired'

/** What is to become of a job's blobs, by the blobs alone. `forsaken`: it was perhaps never accepted, or is gone. */
export function fateOf(
  { hasSpec, hasLeftovers, newest, ended, newestFrame = 0, newestItem = 0 }: JobSeen,
  { now, keepDays, keepFramesDays }: { now: number; keepDays: number; keepFramesDays: number },
): Fate {
  if (ended === undefined) {
    // Of a job that is gone, late workers leave frames as well.
    const nobodys = hasLeftovers || (!hasSpec && newestFrame > 0)
    return nobodys && now - newest > dayMs ? 'forsaken' : 'kept'
  }
  if (keepDays > 0 && now - ended > keepDays * dayMs) return 'expired'
  // Items are kept for a job that may be run anew, but a split that stalled may have written some after the end.
  if (hasLeftovers || newestItem > ended) return 'leftovers'
  const framesUntil = Math.max(ended, newestFrame)
  const isOld = keepFramesDays > 0 && newestFrame > 0 && now - framesUntil > keepFramesDays * dayMs
  return isOld ? 'frames' : 'kept'
}

/** What only a running job needs: what the names begin with. */
export const leftovers = (id: string) => [layout.secret(id), layout.itemSecrets(id), layout.segments(id)]
