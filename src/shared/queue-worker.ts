import { setTimeout as pause } from 'node:timers/promises'
import type { Job, Worker } from 'bullmq'
import type { Redis } from 'ioredis'
import { guardClaims } from './claim-breaker.ts'
import { classify } from './classify.ts'
import type { Logger } from './log.ts'
import type { WorkMetrics } from './metrics.ts'
import { type Payload, type QueueName, queues } from './queues.ts'
import { sparingly } from './sparingly.ts'

type Done = { ms?: Record<string, number>; frames?: number; skipped?: string }

/**
 * Wires a BullMQ worker's events to metrics and log lines, and a lost lock to the work that holds it; keeps it from
 * spinning where claims fail.
 */
export function observeWorker(worker: Worker, metrics: WorkMetrics, log: Logger): void {
  const { name: queue } = worker
  worker.on('completed', (job, result: Done | null) => {
    metrics.outcomes.inc({ queue, outcome: 'done' })
    const seconds = ((job.finishedOn ?? 0) - (job.processedOn ?? 0)) / 1_000
    metrics.seconds.observe({ queue, phase: 'total' }, seconds)
    // Its own total is a part of the one above.
    for (const [phase, ms] of Object.entries(result?.ms ?? {}))
      if (phase !== 'total') metrics.seconds.observe({ queue, phase }, ms / 1_000)
    // What somebody else has committed is counted by whoever that was.
    if (result?.frames && result.skipped === undefined) metrics.frames.inc(result.frames)
  })
  worker.on('failed', (_job, error) => {
    const { kind } = error as Error & { kind?: string }
    metrics.outcomes.inc({ queue, outcome: kind ?? classify(error) })
  })
  worker.on('stalled', (entry) =>
    log.warn({ queue, entry }, 'a worker went away in the middle: its work is taken again'),
  )
  const trouble = sparingly<Error>((error, heldBack) =>
    log.warn({ queue, err: error.message, ...(heldBack > 0 ? { heldBack } : {}) }, 'queue trouble'),
  )
  worker.on('error', (error) => {
    metrics.errors.inc({ queue })
    trouble(error)
  })
  guardClaims(worker, log, () => metrics.pauses.inc({ queue }))
  // BullMQ goes on working after a lock is lost, while another worker has the entry already: stop at once.
  worker.on('lockRenewalFailed', (entries) => {
    for (const entry of entries) worker.cancelJob(entry, 'lock lost')
  })
}

/**
 * Calls `end` when an entry has failed for good and our own code had no say: a process that was killed at every attempt, a
 * lease that was lost too often. The payload is handed over if it can be read.
 */
export function onFinalFailure<Q extends QueueName>(
  worker: Worker,
  queue: Q,
  log: Logger,
  end: (data: Payload<Q>, error: Error) => Promise<unknown>,
): void {
  worker.on('failed', (job: Job | undefined, error) => {
    const data = queues[queue].payload.safeParse(job?.data)
    const ended = (error as Error & { kind?: string }).kind !== undefined
    if (ended || !job?.finishedOn || !data.success) return
    end(data.data as Payload<Q>, error).catch((err: unknown) =>
      log.error({ err, entry: job.id }, 'the end could not be noted'),
    )
  })
}

/**
 * Takes nothing new and waits for what is under way; what is not done in time is given back. While Redis is away nothing
 * can be given back: the leases end by themselves, and the worker is left as it is.
 */
export async function drainWorker(worker: Worker, redis: Redis, withinMs: number): Promise<void> {
  const closed = worker.close().then(() => true)
  for (let wait = withinMs, told = false; ; wait = giveBackMs, told = true) {
    const patience = new AbortController()
    const late = pause(wait, false, { signal: patience.signal })
    if (await Promise.race([closed, late]).finally(() => patience.abort())) return
    if (told && redis.status !== 'ready') return
    // Again, if need be: a claim may have been on its way.
    worker.cancelAllJobs('the process is leaving')
  }
}

/** Giving back takes a few trips to Redis. */
const giveBackMs = 1_000
