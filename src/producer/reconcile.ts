import pMap from 'p-map'
import type { Backlog } from '../shared/backlog.ts'
import type { OpenJob } from '../shared/job-files.ts'
import { entryIds } from '../shared/queues.ts'
import type { Chore } from './chores.ts'
import { dropWaiting, isAlive } from './flow.ts'
import { type ResumeDeps, type Resumed, resumeJob } from './resume.ts'

export type ReconcileDeps = ResumeDeps & { backlog: Pick<Backlog, 'list' | 'drop' | 'put'> }

/** How many jobs came to what; `failed`: it could not be told, and the log says why. */
export type Tally = Record<Resumed | 'failed', number>

/** Children that are looked at of each stitch: what it waits for in vain is found at the latest when all others are done. */
const sample = 20
/** Jobs looked at closely in one turn; whether a stitch is there at all is asked of every job. */
const closely = 500
/** A mark without a job is what an accept that broke off leaves. */
const forsakenMs = 600_000

/**
 * Mends what Redis lost, with nobody awake: every job that is open in Blob is on the queues, or is put there again; what
 * was halted drains at once; what ended half-way ends. Blob is asked for the open jobs alone, not for all there ever were.
 */
export function reconcileChore(deps: ReconcileDeps, everyMs: number): Chore {
  let turn = 0
  let strangers = new Set<string>()
  /** Jobs that could not be looked at in the last turn: they are told of once. */
  let opaque = new Set<string>()
  return {
    name: 'reconcile',
    everyMs,
    async run(signal) {
      const now = Date.now()
      const open: OpenJob[] = []
      for await (const job of deps.files.openJobs()) open.push(job)
      // A job that is being accepted right now is about to be put on the queues by whoever accepts it.
      const settled = open.filter(({ markedAt }) => now - markedAt.getTime() > 2 * everyMs)
      const gone = await whoseStitchIsGone(deps, settled)
      const start = settled.length > closely ? (turn++ * closely) % settled.length : 0
      const looked = [...settled, ...settled].slice(start, start + Math.min(closely, settled.length))
      const stuck = new Set<string>()
      const untold = new Set<string>()
      await pMap(
        looked.filter(({ id }) => !gone.has(id)),
        async ({ id }) => {
          try {
            if (await isStuck(deps, id)) stuck.add(id)
          } catch (err) {
            untold.add(id)
            if (!opaque.has(id)) deps.log.warn({ err, job: id }, 'a job could not be looked at')
          }
        },
        { concurrency: 8 },
      )
      opaque = untold
      const outcomes = await resumeAll(deps, [...gone, ...stuck], signal)
      for (const id of untold) outcomes.set(id, 'failed')
      const forsaken = settled.filter(
        ({ id, markedAt }) => outcomes.get(id) === 'unknown' && now - markedAt.getTime() > forsakenMs,
      )
      await pMap(forsaken, async ({ id }) => await deps.files.unmark(id), { concurrency: 4 })
      strangers = await leaveLine(deps, new Set(open.map(({ id }) => id)), strangers)
      return counts(outcomes)
    },
  }
}

/**
 * Looks at every open job when it is called, and answers how many came to what. Who calls while that is under way gets
 * its answer: each look is a listing of storage and several trips for every job.
 */
export function createResumeOpen(deps: ResumeDeps, signal: AbortSignal): () => Promise<Tally> {
  let underWay: Promise<Tally> | undefined
  async function look(): Promise<Tally> {
    const ids: string[] = []
    for await (const { id } of deps.files.openJobs()) ids.push(id)
    return counts(await resumeAll(deps, ids, signal))
  }
  return async () => {
    underWay ??= look().finally(() => (underWay = undefined))
    return await underWay
  }
}

/** One job that can't be looked at does not keep the others from being put back. */
async function resumeAll(
  deps: ResumeDeps,
  ids: string[],
  signal: AbortSignal,
): Promise<Map<string, keyof Tally>> {
  const outcomes = new Map<string, keyof Tally>()
  await pMap(
    ids,
    async (id) => {
      if (signal.aborted) return
      const outcome = await resumeJob(deps, id).catch((err: unknown) => {
        deps.log.warn({ err, job: id }, 'a job could not be put back on the queues')
        return 'failed' as const
      })
      outcomes.set(id, outcome)
    },
    { concurrency: 4 },
  )
  return outcomes
}

function counts(outcomes: Map<string, keyof Tally>): Tally {
  const found = { resumed: 0, running: 0, ended: 0, unknown: 0, failed: 0 }
  for (const outcome of outcomes.values()) found[outcome]++
  return found
}

async function whoseStitchIsGone(deps: ReconcileDeps, jobs: OpenJob[]): Promise<Set<string>> {
  const alive = await pMap(jobs, async ({ id }) => await isAlive(deps, 'stitch', entryIds.stitch(id)), {
    concurrency: 100,
  })
  return new Set(jobs.filter((_, i) => !alive[i]).map(({ id }) => id))
}

/** Whether a job would wait for ever; the batches of one that was halted are taken off the queue on the way. */
async function isStuck(deps: ReconcileDeps, id: string): Promise<boolean> {
  const { redis, queues, statuses } = deps
  // Its status was lost, and perhaps the word that it was cancelled with it.
  if (!(await statuses.isNoted(id))) return true
  if (await statuses.halted(id)) await dropWaiting(deps, id)
  const state = await queues.stitch.getJobState(entryIds.stitch(id))
  // It is awake, and missed something that it will miss the next time as well.
  if (state === 'delayed') return true
  if (state !== 'waiting-children') return false
  const key = `${queues.stitch.toKey(entryIds.stitch(id))}:dependencies`
  const children = await redis.srandmember(key, sample)
  if (children.length === 0) return true
  const alive = await Promise.all(
    children.map(async (child) => {
      const queue = child.startsWith(queues.split.toKey('')) ? 'split' : 'batch'
      return await isAlive(deps, queue, child.slice(queues[queue].toKey('').length))
    }),
  )
  return alive.includes(false)
}

/**
 * Takes jobs out of line that are not open: their end did not reach Redis, or they were never accepted. One that is being
 * accepted is in line before it is marked, so it has to be found twice. Answers those found once.
 */
async function leaveLine(
  { backlog }: ReconcileDeps,
  open: Set<string>,
  before: Set<string>,
): Promise<Set<string>> {
  const strangers = (await backlog.list()).filter((id) => !open.has(id))
  for (const id of strangers.filter((each) => before.has(each))) await backlog.drop(id)
  return new Set(strangers.filter((id) => !before.has(id)))
}
