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
import { type Fate, type JobSeen, fateOf, leftovers, newJobSeen, seeBlob } from './job-fate.ts'

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

/**
 * Goes round all jobs in storage, some each turn, and removes what nobody needs: what late workers left behind a job
 * that has ended, what an accept left that broke off, frames that were kept long enough, and jobs that are older than they are kept.
 */
export function janitorChore(deps: JanitorDeps, plan: JanitorPlan): Chore {
  const { everyMs, keepDays, keepFramesDays = 0, pages = 4, pageSize } = plan
  /** Where the round is; a restart begins a new one. */
  let from: string | undefined
  /** The last job of a page may go on in the next. */
  let open: JobSeen | undefined

  /** The jobs whose blobs have all been seen by now. */
  function seenWhole(items: BlobItem[], isLast: boolean): JobSeen[] {
    const whole: JobSeen[] = []
    for (const item of items) {
      const id = item.name.split('/')[1]
      if (open && open.id !== id) {
        whole.push(open)
        open = undefined
      }
      if (!open && JobId.safeParse(id).success) open = newJobSeen(id ?? '')
      if (open) seeBlob(open, item)
    }
    if (!isLast || !open) return whole
    whole.push(open)
    open = undefined
    return whole
  }

  return {
    name: 'janitor',
    everyMs,
    async run(signal) {
      const done = { leftovers: 0, frames: 0, expired: 0 }
      for (let page = 0; page < pages && !signal.aborted; page++) {
        const { items, next } = await deps.media.listPage(layout.jobs, { from, size: pageSize })
        from = next
        await pMap(
          seenWhole(items, next === undefined),
          async (job) => {
            const fate = fateOf(job, { now: Date.now(), keepDays, keepFramesDays })
            const what = fate === 'kept' ? undefined : await removeWhat(deps, job, fate)
            if (what) done[what]++
          },
          { concurrency: 4 },
        )
        if (next === undefined) break
      }
      return done
    },
  }
}

/** One job that can't be cleared up does not keep the round from going on. */
async function removeWhat(
  deps: JanitorDeps,
  job: JobSeen,
  fate: Exclude<Fate, 'kept'>,
): Promise<'expired' | 'leftovers' | 'frames' | undefined> {
  const { id } = job
  try {
    if (!(await isOver(deps, id, fate))) return undefined
    if (fate === 'expired') return (await expire(deps, id)) ? 'expired' : undefined
    const what = fate === 'frames' ? 'frames' : 'leftovers'
    let removed = 0
    for (const prefix of await prefixesOf(deps, job, fate))
      removed += await removeAll(deps, job, fate, prefix)
    return removed > 0 ? what : undefined
  } catch (err) {
    deps.log.warn({ err, job: id }, 'a job could not be cleared up')
    return undefined
  }
}

async function prefixesOf({ files }: JanitorDeps, job: JobSeen, fate: Fate): Promise<string[]> {
  const { id, hasSpec, ended = 0, newestItem = 0 } = job
  if (fate === 'frames') return [layout.frames(id)]
  if (fate === 'forsaken') return hasSpec ? leftovers(id) : [...leftovers(id), layout.frames(id)]
  const isDone = newestItem > ended && (await files.readReport(id))?.status === 'succeeded'
  return isDone ? [...leftovers(id), layout.items(id)] : leftovers(id)
}

/** Answers how many there were. What came since the job was seen stays: it may be running anew, and is asked each time. */
async function removeAll(deps: JanitorDeps, job: JobSeen, fate: Fate, prefix: string): Promise<number> {
  let removed = 0
  let from: string | undefined
  do {
    const { items, next } = await deps.media.listPage(prefix, { from })
    if (items.length > 0 && !(await isOver(deps, job.id, fate))) break
    const old = items.filter(({ modified }) => modified.getTime() <= job.newest)
    await deps.media.remove(old.map(({ name }) => name))
    removed += old.length
    from = next
  } while (from !== undefined)
  return removed
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
