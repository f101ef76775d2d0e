import type { Queue } from 'bullmq'
import type { Redis } from 'ioredis'
import { Counter, type Registry } from 'prom-client'
import { BatchPayload } from '../shared/job.ts'
import { createJobStatuses } from '../shared/job-status.ts'
import type { Logger } from '../shared/log.ts'
import { copyOptions, entryIds } from '../shared/queues.ts'
import { createWorkerRegistry } from '../shared/worker-registry.ts'
import type { Chore } from './chores.ts'
import { firstTag } from './fair-order.ts'
import type { FairOrder } from './fair-queue.ts'
import { type ActiveBatch, slowBatches } from './speculation.ts'

export type SpeculateDeps = {
  redis: Redis
  prefix: string
  batches: Queue
  order: Pick<FairOrder, 'reckon'>
  registry: Registry
  log: Logger
}

/** Batches at work that are looked at in one turn: as many as there may be workers that have something to do. */
const mostLooked = 5_000

/**
 * Puts a copy on the queue of each batch that holds up the end of its job: nothing waits, somebody is idle, and the batch
 * is going to take more than twice as long as it should. Whichever commits first counts; the other one hears of it. Safe to do
 * twice: a copy has one name, and one that ended is remembered for a while.
 */
export function speculateChore(deps: SpeculateDeps, everyMs = 2_000): Chore {
  const { redis, prefix, batches, log } = deps
  const statuses = createJobStatuses(redis, prefix)
  const workers = createWorkerRegistry(redis, prefix)
  const copies = new Counter({
    name: 'framefleet_copies_total',
    help: 'Copies of slow batches that were put on the queue',
    registers: [deps.registry],
  })

  return {
    name: 'speculate',
    everyMs,
    async run(): Promise<Record<string, number>> {
      // What is to be tried later keeps nobody's hands full.
      const counts = await batches.getJobCounts('waiting', 'prioritized', 'active')
      const waiting = (counts['waiting'] ?? 0) + (counts['prioritized'] ?? 0)
      // Most turns end here: there is more than enough to do, or nothing.
      if (waiting > 0 || !counts['active']) return {}
      const idleWorkers = (await workers.list()).filter(({ state }) => state === 'idle').length
      if (idleWorkers === 0) return {}
      const [active, now] = await Promise.all([atWork(), redisNow()])
      const slow = slowBatches({ now, waiting, idleWorkers, active })
      for (const entry of slow) {
        const batch = active.find((each) => each.entry === entry)
        if (batch) await copy(batch, now)
      }
      return { copied: slow.length }
    },
  }

  async function copy({ payload, worker, startedAt, expectedSeconds }: AtWork, now: number): Promise<void> {
    const { jobId, index } = payload
    await batches.add(
      'batch',
      { ...payload, copyOf: worker },
      { ...copyOptions, jobId: entryIds.copy(jobId, index), priority: firstTag },
    )
    copies.inc()
    const seconds = Math.round((now - startedAt) / 1_000)
    const expected = Math.round(expectedSeconds)
    log.info({ job: jobId, batch: index, worker, seconds, expected }, 'a slow batch was copied')
  }

  async function redisNow(): Promise<number> {
    const [seconds, micros] = (await redis.time()).map(Number)
    return (seconds ?? 0) * 1_000 + (micros ?? 0) / 1_000
  }

  /** The batches at work of which it is known how long they should take. */
  async function atWork(): Promise<AtWork[]> {
    const ids = await redis.lrange(batches.toKey('active'), 0, mostLooked - 1)
    const reading = redis.pipeline()
    for (const id of ids) reading.hmget(batches.toKey(id), 'processedOn', 'pb', 'data', 'atm')
    const found = ((await reading.exec()) ?? []).flatMap(([error, fields], i) =>
      error ? [] : claimOf(ids[i] ?? '', fields as (string | null)[]),
    )
    const payloads = found.map(({ payload }) => payload)
    const jobs = [...new Set(payloads.map(({ jobId }) => jobId))]
    const [works, underWay, committed, copied, reckoning, ahead] = await Promise.all([
      statuses.works(jobs),
      statuses.underWay(jobs),
      statuses.committed(payloads),
      copiesOf(payloads),
      deps.order.reckon(),
      workers.clocksAhead(found.map(({ worker }) => worker)),
    ])
    const numberOf = new Map(jobs.map((job, i) => [job, i]))
    return found.flatMap((claim, i) => {
      const { jobId, index, count, paceModel } = claim.payload
      const job = numberOf.get(jobId) ?? -1
      const work = works[job]
      // Whoever has it hears within a second that a copy was first.
      if (!work || work.halt || committed[i]) return []
      const { secondsPerFrame, setUpSeconds, measured } = reckoning(
        paceModel === undefined ? work : { model: paceModel, size: work.size },
      )
      // What was only guessed is no reason to do anything twice.
      if (!measured) return []
      const expectedSeconds = count * secondsPerFrame + setUpSeconds
      const fractionDone = Math.min(1, (underWay[job]?.get(index) ?? 0) / count)
      // The claim is dated by its worker's clock.
      const startedAt = claim.startedAt - (ahead[i] ?? 0)
      const isSettled = claim.isSettled || (copied[i] ?? false)
      return [{ ...claim, startedAt, expectedSeconds, setUpSeconds, fractionDone, copied: isSettled }]
    })
  }

  async function copiesOf(payloads: BatchPayload[]): Promise<boolean[]> {
    const asking = redis.pipeline()
    for (const { jobId, index } of payloads) asking.exists(batches.toKey(entryIds.copy(jobId, index)))
    return ((await asking.exec()) ?? []).map(([, count]) => count === 1)
  }
}

type Claim = Pick<ActiveBatch, 'entry' | 'worker' | 'startedAt'> & {
  payload: BatchPayload
  /** It is to have no copy, but takes its worker's time like any other. */
  isSettled: boolean
}
type AtWork = ActiveBatch & Claim

/** Nothing of what can't be read. */
function claimOf(entry: string, [processedOn, worker, data, attempts]: (string | null)[]): Claim[] {
  const startedAt = Number(processedOn)
  if (!(startedAt > 0) || !worker) return []
  try {
    const payload = BatchPayload.parse(JSON.parse(data ?? ''))
    // What has failed is tried with care, which takes its time; a copy would take another worker's engine down with it.
    const isSettled = payload.copyOf !== undefined || Number(attempts) > 0
    return [{ entry, worker, startedAt, payload, isSettled }]
  } catch {
    return []
  }
}
