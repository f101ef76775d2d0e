import type { Redis } from 'ioredis'
import { createBacklog } from '../shared/backlog.ts'
import { groupOf, isItemsPlan, pacedBy } from '../shared/items/items-plan.ts'
import type { JobPlan, JobSpec } from '../shared/job.ts'
import { createJobStatuses } from '../shared/job-status.ts'
import { entryIds, jobOfEntry } from '../shared/queues.ts'
import { createRates } from '../shared/rates.ts'
import { createWorkerRegistry } from '../shared/worker-registry.ts'
import { firstTag, lastTag, newcomerStarts, type Standing, usualPriority, weigh } from './fair-order.ts'
import { type Reckoning, keptReckoning, readReckoning } from '../shared/reckoning.ts'

/** BullMQ keeps the priority in the upper bits of a score, and the order of those alike in the lower 32. */
export const tagUnit = 2 ** 32

/** The virtual start time that a score stands for; undefined for one that BullMQ can't have made. */
export function tagOf(score: string): number | undefined {
  const tag = Math.floor(Number(score) / tagUnit)
  return tag >= firstTag && tag <= lastTag ? tag : undefined
}

/** Whether an id is that of a batch, and of no copy of one: those go first, whatever the time. */
export const isOwnBatch = (id: string): boolean =>
  !id.endsWith('.copy') && jobOfEntry('batch', id) !== undefined

const looked = 20
const claimsLooked = 500

/**
 * The virtual time: where the queue is. That is its head, or the latest claim where the head is a batch that was put
 * back, or what is to be tried again: a job that comes when the queue is dry would go before that. 0 when there is
 * nothing.
 */
export const virtualNow = async (redis: Redis, prefix: string): Promise<number> =>
  (await readTimes(redis, prefix)).now

/** The virtual time, and the start times of the latest claims. */
async function readTimes(redis: Redis, prefix: string): Promise<{ now: number; active: number[] }> {
  const key = (name: string) => `${prefix}:batch:${name}`
  const seen = await redis
    .pipeline()
    .zrange(key('prioritized'), '0', String(looked - 1), 'WITHSCORES')
    .lrange(key('active'), 0, claimsLooked - 1)
    .zrange(key('delayed'), '0', String(looked - 1))
    .exec()
  // What lies under a key of the wrong type says nothing.
  const [heads = [], claims = [], delayed = []] = (seen ?? []).map(([error, list]) =>
    error ? [] : (list as string[]),
  )
  const active = claims.filter(isOwnBatch)
  const reading = redis.pipeline()
  for (const id of [...active, ...delayed]) reading.hget(key(id), 'priority')
  const tags = ((await reading.exec()) ?? []).map(([, priority]) => Number(priority))
  const isTag = (tag: number) => tag >= firstTag && tag <= lastTag
  return {
    now: Math.max(0, headOf(heads, isOwnBatch), ...tags.filter(isTag)),
    active: tags.slice(0, active.length).filter(isTag),
  }
}

/** The first tag in a list of ids and scores that can be one of ours; 0 when there is none. */
function headOf(heads: string[], isOurs: (id: string) => boolean): number {
  for (let i = 0; i < heads.length; i += 2) {
    const tag = tagOf(heads[i + 1] ?? '')
    if (tag !== undefined && isOurs(heads[i] ?? '')) return tag
  }
  return 0
}

/** So many open jobs are asked for their priority, as many of each client; the others count as usual. */
const mostAsked = 2_000
/** How much later a client's next split comes, times its priority. */
const splitStep = 10

export type FairOrder = ReturnType<typeof createFairOrder>

/** Where a job comes in line, by who is in it now. `share`: the most of the fleet that one client has while others wait. */
export function createFairOrder({ redis, prefix, share }: { redis: Redis; prefix: string; share: number }) {
  const statuses = createJobStatuses(redis, prefix)
  const backlog = createBacklog(redis, prefix)
  const measured = { rates: createRates(redis, prefix), registry: createWorkerRegistry(redis, prefix) }
  const reckon = async (): Promise<Reckoning> => await readReckoning(measured)
  const reckonLately = keptReckoning(reckon)

  /** How a job stands beside all that are open, and when its client's other jobs begin. */
  async function standingOf({ id, client, request }: JobSpec) {
    const left = await backlog.left()
    const asked = Math.ceil(mostAsked / Math.max(1, left.size))
    const others = [...left].flatMap(([client, jobs]) =>
      [...jobs.keys()]
        .filter((other) => other !== id)
        .map((other, i) => ({ id: other, client, isAsked: i < asked })),
    )
    const known = others.filter(({ isAsked }) => isAsked)
    const [works, siblings] = await Promise.all([
      statuses.works(known.map((other) => other.id)),
      beginsOf(others.filter((other) => other.client === client).map((other) => other.id)),
    ])
    const priorities = new Map(known.map((other, i) => [other.id, works[i]?.priority]))
    const jobs = others.map((other) => ({
      client: other.client,
      priority: priorities.get(other.id) ?? usualPriority,
    }))
    const [standing] = weigh([{ client, priority: request.priority }, ...jobs], share) as [Standing]
    return { standing, siblings }
  }

  /** The virtual start times of the first batches of these jobs, but of those that have ended. */
  async function beginsOf(jobs: string[]): Promise<number[]> {
    const reading = redis.pipeline()
    for (const id of jobs) reading.hmget(`${prefix}:batch:${entryIds.batch(id, 0)}`, 'priority', 'finishedOn')
    return ((await reading.exec()) ?? []).flatMap(([error, fields]) => {
      const [priority, finishedOn] = error ? [] : (fields as (string | null)[])
      const tag = Number(priority)
      return tag >= firstTag && tag <= lastTag && !finishedOn ? [tag] : []
    })
  }

  return {
    reckon,
    reckonLately,
    /** The virtual start times of a plan's batches; those that are done take no time. */
    async startsOf(spec: JobSpec, plan: JobPlan, isDone: (index: number) => boolean): Promise<number[]> {
      const [{ now, active }, { standing, siblings }, reckoning] = await Promise.all([
        readTimes(redis, prefix),
        standingOf(spec),
        reckonLately(),
      ])
      // Of images no size is known before they are opened.
      const size = isItemsPlan(plan) ? plan.size : `${plan.video.width}x${plan.video.height}`
      const rateOf = (index: number) => {
        const { model } = isItemsPlan(plan) ? groupOf(spec, plan, index) : spec
        return reckoning({ model: pacedBy(spec, model), size })
      }
      const costs = plan.batches.map((count, index) => {
        if (isDone(index)) return 0
        const { secondsPerFrame, setUpSeconds } = rateOf(index)
        return count * secondsPerFrame + setUpSeconds
      })
      return newcomerStarts({ now, active, siblings, costs, standing })
    },
    /**
     * The priority of a job's split: behind what its client has in line already, and behind whatever is first, so that
     * none waits for ever. When nothing waits it begins anew.
     */
    async splitPriority({ id, client, request }: JobSpec): Promise<number> {
      const waiting = `${prefix}:split:prioritized`
      const own = (await backlog.jobsOf(client)).filter((other) => other !== id)
      const reading = redis.pipeline().zrange(waiting, '0', String(looked - 1), 'WITHSCORES')
      for (const other of own) reading.zscore(waiting, entryIds.split(other))
      const [heads, ...scores] = ((await reading.exec()) ?? []).map(([error, found]) =>
        error ? null : found,
      )
      const head = headOf((heads ?? []) as string[], (entry) => jobOfEntry('split', entry) !== undefined)
      const latest = scores.reduce<number>((most, score) => Math.max(most, tagOf(String(score)) ?? 0), head)
      return Math.min(lastTag, latest + Math.ceil(splitStep / request.priority))
    },
  }
}
