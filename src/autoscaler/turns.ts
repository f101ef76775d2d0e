import { setTimeout as pause } from 'node:timers/promises'
import { type Job, Worker } from 'bullmq'
import type { Redis } from 'ioredis'
import { dropQueue } from '../shared/drop-queue.ts'
import type { Logger } from '../shared/log.ts'
import type { WorkMetrics } from '../shared/metrics.ts'
import { openQueue } from '../shared/open-queue.ts'
import { drainWorker, observeWorker } from '../shared/queue-worker.ts'
import { queues, workerOptions } from '../shared/queues.ts'
import { sparingly } from '../shared/sparingly.ts'

type TurnDeps = {
  redis: Redis
  prefix: string
  everyMs: number
  take(signal: AbortSignal): Promise<unknown>
  metrics: WorkMetrics
  log: Logger
  /** How long no turn may come before the queue is made anew. */
  patienceMs?: number
  /** How long a turn may take before it is given up. */
  longestMs?: number
}

const scheduler = 'tick'
const periodsOfPatience = 3
const leastPatienceMs = 10_000

/**
 * Turns come from a scheduler on the queue, one at a time, to whichever autoscaler takes them first: nobody leads. What the
 * queue holds may be lost or broken at any moment, and then no turn comes; so each autoscaler looks after it as well.
 *
 *   <prefix>:fleet:alive   lasts for three periods after each turn; whoever finds it gone sets it, and makes the queue anew
 *
 *   turns come ──none for three periods──► one of us removes the queue's keys and puts the scheduler on ──► turns come
 */
export async function startTurns(deps: TurnDeps) {
  const { redis, prefix, everyMs, take, metrics, log } = deps
  const { longestMs = 60_000 } = deps
  const { patienceMs = Math.max(leastPatienceMs, periodsOfPatience * everyMs) } = deps
  const leaving = new AbortController()
  const { signal } = leaving
  const queue = openQueue('autoscale', { connection: redis, prefix })
  const alive = `${prefix}:fleet:alive`
  const sayAlive = async () => await redis.set(alive, process.pid, 'PX', patienceMs)

  const worker = new Worker(
    'autoscale',
    async (job: Job, _token, lost) => {
      // Somebody else's entry is nothing to us.
      if (job.name !== scheduler) return {}
      await sayAlive()
      const saying = setInterval(() => void sayAlive().catch(() => {}), everyMs)
      const late = AbortSignal.timeout(longestMs)
      // Also a turn that does not hear it: nobody else has one until this one is over.
      const givenUp = new Promise<never>((_, reject) => {
        late.addEventListener('abort', () => reject(new Error('the turn took too long')), { once: true })
      })
      const turn = take(AbortSignal.any([signal, late, ...(lost ? [lost] : [])]))
      return await Promise.race([turn, givenUp]).finally(() => clearInterval(saying))
    },
    { ...workerOptions('autoscale'), connection: redis, prefix, concurrency: 1 },
  )
  observeWorker(worker, metrics, log)
  const warn = sparingly<Error>(
    (error, heldBack) =>
      log.warn({ err: error.message, ...(heldBack > 0 ? { heldBack } : {}) }, 'a turn failed'),
    { most: 1, everyMs: 60_000 },
  )
  worker.on('failed', (_job, error) => {
    if (!signal.aborted) warn(error)
  })

  /** Puts the scheduler on, or leaves it as it is. */
  async function schedule(): Promise<void> {
    const { keep } = queues.autoscale
    await queue.setGlobalConcurrency(1)
    const opts = {
      attempts: 1,
      removeOnComplete: keep.completed,
      removeOnFail: keep.failed,
      stackTraceLimit: 5,
    }
    await queue.upsertJobScheduler(scheduler, { every: everyMs }, { name: scheduler, data: {}, opts })
  }

  /** Makes the queue anew if no turn came for long; answers whether it did. */
  async function mend(): Promise<boolean> {
    if ((await redis.set(alive, process.pid, 'PX', patienceMs, 'NX')) === null) {
      const left = await redis.pttl(alive)
      // A key that is not ours might last for ever.
      if (left < 0 || left > patienceMs) await redis.del(alive)
      return false
    }
    await dropQueue(redis, queue)
    await schedule()
    return true
  }

  const watch = async () => {
    while (!signal.aborted) {
      await pause(everyMs, undefined, { signal }).catch(() => {})
      if (signal.aborted) return
      const mended = await mend().catch((error: Error) => {
        log.warn({ err: error.message }, "the turns can't be looked after")
      })
      if (mended) log.warn('no turn came for a while: the queue of the turns was made anew')
    }
  }

  if (!(await mend())) await schedule()
  await worker.waitUntilReady()
  const watching = watch()
  return {
    isRunning: () => worker.isRunning(),
    /** Takes no turn any more; one that is under way may end. */
    async stop(withinMs: number): Promise<void> {
      leaving.abort()
      await drainWorker(worker, redis, withinMs)
      // A Redis that is away is not waited for.
      await Promise.race([watching, pause(1_000, undefined, { ref: false })])
      await queue.close()
    },
  }
}
