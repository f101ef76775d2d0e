import pMap from 'p-map'
import type { BlobItem, BlobStore } from '../shared/blob-store.ts'
import type { Incidents } from '../shared/incidents.ts'
import { JobId } from '../shared/job.ts'
import type { JobFiles } from '../shared/job-files.ts'
import type { JobStatuses } from '../shared/job-status.ts'
import { layout } from '../shared/layout.ts'
import type { Logger } from '../shared/log.ts'
import type { Chore } from './chores.ts'
import { type FlowDeps, removeFlow } from './flow.ts'

type JanitorDeps = FlowDeps & {
  media: BlobStore
  files: JobFiles
  statuses: JobStatuses
  incidents: Pick<Incidents, 'forget'>
  log: Logger
}
type JanitorPlan = {
  everyMs: number
  /** Jobs that ended longer ago are removed with all they made; 0 keeps them for ever. */
  keepDays: number
  /** Frames that a job kept as images go so long after its end, or after somebody has last edited one; 0 keeps them with the job. */
  keepFramesDays?: number
  /** Requests for a listing in one turn, and blobs in each. */
  pages?: number
  pageSize?: number
}

const dayMs = 86_400_000

/**
 * Goes round all jobs in storage, some each turn, and removes what nobody needs: what late workers left behind a job
 * that has ended, what an accept left that broke off, frames that were kept long enough, and jobs that are older than they are kept.
 */
export function janitorChore(deps: JanitorDeps, plan: JanitorPlan): Chore {
  const { everyMs, keepDays, keepFramesDays = 0, pages = 4, pageSize } = plan
  /** Where the round is; a restart begins a new one. */
  let from: string | undefined
  /** The last job of a page may go on in the next. */
  let carried: BlobItem[] = []
  return {
    name: 'janitor',
    everyMs,
    async run(signal) {
      const done = { leftovers: 0, frames: 0, expired: 0 }
      for (let page = 0; page < pages && !signal.aborted; page++) {
        const { items, next } = await deps.media.listPage(layout.jobs, { from, size: pageSize })
        const jobs = byJob([...carried, ...items])
        const last = next === undefined ? undefined : [...jobs.keys()].at(-1)
        carried = last === undefined ? [] : (jobs.get(last) ?? [])
        if (last !== undefined) jobs.delete(last)
        await pMap(
          jobs,
          async ([id, blobs]) => {
            const fate = fateOf(id, blobs, { now: Date.now(), keepDays, keepFramesDays })
            const what = fate === 'kept' ? undefined : await removeWhat(deps, id, { fate, blobs })
            if (what) done[what]++
          },
          { concurrency: 4 },
        )
        from = next
        if (next === undefined) break
      }
      return done
    },
  }
}

export type Fate = 'kept' | 'leftovers' | 'frames' | 'forsaken' | 'expired'

/** What is to become of a job's blobs, by the blobs alone. `forsaken`: it has a spec, but was perhaps never accepted. */
export function fateOf(
  id: string,
  blobs: Pick<BlobItem, 'name' | 'modified'>[],
  { now, keepDays, keepFramesDays }: { now: number; keepDays: number; keepFramesDays: number },
): Fate {
  const ended = blobs.find(({ name }) => name === layout.report(id))?.modified.getTime()
  const leftovers = blobs.some(({ name }) => isLeftover(id)(name))
  if (ended === undefined) {
    const newest = Math.max(...blobs.map(({ modified }) => modified.getTime()))
    return leftovers && now - newest > dayMs ? 'forsaken' : 'kept'
  }
  if (keepDays > 0 && now - ended > keepDays * dayMs) return 'expired'
  if (leftovers) return 'leftovers'
  const frames = blobs.filter(({ name }) => name.startsWith(layout.frames(id)))
  const newest = frames.reduce((latest, { modified }) => Math.max(latest, modified.getTime()), ended)
  const isOld = keepFramesDays > 0 && frames.length > 0 && now - newest > keepFramesDays * dayMs
  return isOld ? 'frames' : 'kept'
}

/** What only a running job needs. */
const isLeftover = (id: string) => (name: string) =>
  name === layout.secret(id) || name.startsWith(layout.segments(id))

/** One job that can't be cleared up does not keep the round from going on. */
async function removeWhat(
  deps: JanitorDeps,
  id: string,
  { fate, blobs }: { fate: Fate; blobs: BlobItem[] },
): Promise<'expired' | 'leftovers' | 'frames' | undefined> {
  try {
    if (!(await isOver(deps, id, fate))) return undefined
    if (fate === 'expired') return (await expire(deps, id)) ? 'expired' : undefined
    const isGone = fate === 'frames' ? (name: string) => name.startsWith(layout.frames(id)) : isLeftover(id)
    await deps.media.remove(blobs.map(({ name }) => name).filter(isGone))
    return fate === 'frames' ? 'frames' : 'leftovers'
  } catch (err) {
    deps.log.warn({ err, job: id }, 'a job could not be cleared up')
    return undefined
  }
}

/** Asked just before: it may be running, also anew. */
async function isOver(
  { media, statuses, redis, queues }: JanitorDeps,
  id: string,
  fate: Fate,
): Promise<boolean> {
  if (await media.head(layout.openMark(id))) return false
  if (fate !== 'forsaken') return (await media.head(layout.report(id))) !== undefined
  const [status, queued] = await Promise.all([statuses.get(id), redis.exists(queues.stitch.toKey(id))])
  return status === undefined && queued === 0
}

/** The queues and the state first: its id may be used again once its spec is gone. */
async function expire(deps: JanitorDeps, id: string): Promise<boolean> {
  const plan = await deps.files.findPlan(id)
  if (!(await removeFlow(deps, id, plan?.batches.length ?? 0))) return false
  await deps.statuses.forget(id)
  await deps.incidents.forget(id)
  await deps.files.removeJob(id)
  return true
}

function byJob(items: BlobItem[]): Map<string, BlobItem[]> {
  const jobs = new Map<string, BlobItem[]>()
  for (const item of items) {
    const id = JobId.safeParse(item.name.split('/')[1])
    if (id.success) jobs.set(id.data, [...(jobs.get(id.data) ?? []), item])
  }
  return jobs
}
