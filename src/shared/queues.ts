import type { JobsOptions } from 'bullmq'
import { z } from 'zod'
import { BatchPayload, BatchResult, JobId } from './job.ts'

/**
 * Every queue of the system, and everything that is true of it. To change one see CONTRIBUTING, "Change a queue".
 * Payloads and results are parsed by these schemas when they are put on and when they are taken off.
 */
export type QueueSpec = {
  payload: z.ZodType
  result: z.ZodType
  attempts: number
  /** Between attempts: doubles from `delay` ms; `jitter` takes off up to that share. */
  backoff: { type: 'exponential'; delay: number; jitter: number }
  /** A worker that dies is noticed after lockMs + checkMs at most. `maxStalled` is high: evictions are no fault of the work. */
  lease: { lockMs: number; checkMs: number; maxStalled: number; maxStarted: number }
  /** Ended entries are kept this long for Bull Board, and so that adding the same id again adds nothing. */
  keep: { completed: Keep; failed: Keep }
}
type Keep = { age: number; count: number }

const days = (n: number) => n * 86_400
const lease = { lockMs: 10_000, checkMs: 5_000, maxStalled: 20, maxStarted: 40 }
const JobRef = z.strictObject({ jobId: JobId })
const Nothing = z.object({})

export const queues = {
  split: {
    payload: JobRef,
    result: Nothing,
    attempts: 6,
    backoff: { type: 'exponential', delay: 2_000, jitter: 0.5 },
    lease,
    keep: { completed: { age: days(1), count: 5_000 }, failed: { age: days(7), count: 5_000 } },
  },
  batch: {
    payload: BatchPayload,
    result: BatchResult,
    attempts: 6,
    backoff: { type: 'exponential', delay: 2_000, jitter: 0.5 },
    lease,
    keep: { completed: { age: days(1), count: 100_000 }, failed: { age: days(7), count: 10_000 } },
  },
  stitch: {
    payload: JobRef,
    result: Nothing,
    // All the work is done by now: it is worth waiting minutes for storage to come back.
    attempts: 9,
    backoff: { type: 'exponential', delay: 2_000, jitter: 0.5 },
    lease,
    keep: { completed: { age: days(7), count: 10_000 }, failed: { age: days(7), count: 10_000 } },
  },
} as const satisfies Record<string, QueueSpec>

export type QueueName = keyof typeof queues
export type Payload<Q extends QueueName> = z.infer<(typeof queues)[Q]['payload']>
export type Result<Q extends QueueName> = z.infer<(typeof queues)[Q]['result']>

/** The ids of a job's entries depend on the job alone: adding them twice adds nothing. */
export const entryIds = {
  stitch: (jobId: string) => jobId,
  split: (jobId: string) => `${jobId}.split`,
  batch: (jobId: string, index: number) => `${jobId}.${String(index).padStart(6, '0')}`,
}

/** BullMQ's options for an entry of a queue. `isChild`: see the warning inside. */
export function entryOptions(queue: QueueName, { isChild }: { isChild: boolean }): JobsOptions {
  const { attempts, backoff, keep } = queues[queue]
  return {
    attempts,
    backoff,
    removeOnComplete: keep.completed,
    removeOnFail: keep.failed,
    stackTraceLimit: 5,
    // Without this a failed child leaves its parent waiting for ever; with removeOnFail instead the parent would run
    // with a hole it can't see. So: the parent wakes after all children, and reads the failures itself.
    ...(isChild ? { ignoreDependencyOnFailure: true } : {}),
  }
}

/** BullMQ's options for a worker of a queue. */
export function workerOptions(queue: QueueName) {
  const { lease: its } = queues[queue]
  return {
    lockDuration: its.lockMs,
    stalledInterval: its.checkMs,
    maxStalledCount: its.maxStalled,
    maxStartedAttempts: its.maxStarted,
  }
}
