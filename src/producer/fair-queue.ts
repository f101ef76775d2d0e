import type { Redis } from 'ioredis'
import { createBacklog } from '../shared/backlog.ts'
import type { JobSpec, Plan } from '../shared/job.ts'
import { createJobStatuses } from '../shared/job-status.ts'
import { jobOfEntry } from '../shared/queues.ts'
import { createRates } from '../shared/rates.ts'
import { createWorkerRegistry } from '../shared/worker-registry.ts'
import {
  beginning,
  firstTag,
  lastTag,
  stagger,
  usualPriority,
  virtualStarts,
  weightOf,
} from './fair-order.ts'
import { type Reckoning, keptReckoning, readReckoning } from '../shared/reckoning.ts'

/** BullMQ keeps the priority in the upper bits of a score, and the order of those alike in the lower 32. */
export const tagUnit = 2 ** 32

/** The virtual start time that a score stands for; undefined for one that BullMQ can't have made. */
export function tagOf(score: string): number | undefined {
  const tag = Math.floor(Number(score) / tagUnit)
  return tag >= firstTag && tag <= lastTag ? tag : undefined
}

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
  const [heads = [], active = [], delayed = []] = (seen ?? []).map(([error, list]) =>
    error ? [] : (list as string[]),
  )
  const reading = redis.pipeline()
  for (const id of [...active, ...delayed]) reading.hget(key(id), 'priority')
  const tags = ((await reading.exec()) ?? []).map(([, priority]) => Number(priority))
  const isTag = (tag: number) => tag >= firstTag && tag <= lastTag
  return {
    now: Math.max(0, headOf(heads) ?? 0, ...tags.filter(isTag)),
    active: tags.slice(0, active.length).filter(isTag),
  }
}

/** The first tag in a list of ids and scores that can be one of ours. */
function headOf(heads: string[]): number | undefined {
  for (let i = 0; i < heads.length; i += 2) {
    const tag = tagOf(heads[i + 1] ?? '')
    if (tag !== undefined && jobOfEntry('batch', heads[i] ?? '') !== undefined) return tag
  }
  return undefined
}

/** Of a client's other jobs so many are asked for their priority; the others count as usual. */
const asked = 200

export type FairOrder = ReturnType<typeof createFairOrder>

/** Where a job comes in line, by who is in it now. `share`: the most of the fleet that one client has while others wait. */
export function createFairOrder({ redis, prefix, share }: { redis: Redis; prefix: string; share: number }) {
  const statuses = createJobStatuses(redis, prefix)
  const backlog = createBacklog(redis, prefix)
  const measured = { rates: createRates(redis, prefix), registry: createWorkerRegistry(redis, prefix) }
  const reckon = async (): Promise<Reckoning> => await readReckoning(measured)
  const reckonLately = keptReckoning(reckon)

  /** The weight of a job, its part of all weights, and how many others its client has. */
  async function weigh({ id, client, request }: JobSpec) {
    const left = await backlog.left()
    const own = [...(left.get(client)?.keys() ?? [])].filter((other) => other !== id)
    const works = await statuses.works(own.slice(0, asked))
    const { priority } = request
    const ownPriorities = own.map((_, i) => works[i]?.priority ?? usualPriority)
    const othersWeight = [...left.keys()].filter((other) => other !== client).length
    const weight = weightOf({ priority, ownPriorities, othersWeight, share })
    const ofClient = (weight / priority) * ownPriorities.reduce((sum, each) => sum + each, priority)
    return { weight, part: weight / (othersWeight + ofClient), others: own.length }
  }

  return {
    reckon,
    reckonLately,
    /** The virtual start times of a plan's batches; those that are done take no time. */
    async startsOf(spec: JobSpec, plan: Plan, isDone: (index: number) => boolean): Promise<number[]> {
      const [{ now, active }, { weight, part, others }, reckoning] = await Promise.all([
        readTimes(redis, prefix),
        weigh(spec),
        reckonLately(),
      ])
      const { width, height } = plan.video
      const { name, version } = spec.model
      const rate = reckoning({ model: `${name}@${version}`, size: `${width}x${height}` })
      const costs = plan.batches.map((count, index) =>
        isDone(index) ? 0 : count * rate.secondsPerFrame + rate.setUpSeconds,
      )
      const step = (costs[0] ?? 0) / weight
      const begin = beginning({ now, active, share: part }) + stagger(others) * step
      return virtualStarts({ now: begin, costs, weight })
    },
    /** The priority of a job's split: the more jobs of its client are in line, the later. */
    async splitPriority({ client, request }: JobSpec): Promise<number> {
      const inLine = await backlog.jobsOf(client)
      return Math.min(lastTag, Math.max(firstTag, Math.ceil((inLine * usualPriority) / request.priority)))
    },
  }
}
