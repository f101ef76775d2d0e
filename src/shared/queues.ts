import { Backoffs, type JobsOptions } from 'bullmq'
import { z } from 'zod'
import { retryAfterOf } from './classify.ts'
import { BatchPayload, BatchResult, JobId } from './job.ts'
import { QuarantineRecord } from './quarantine.ts'
import { TraceParent } from './tracing.ts'

/**
 * Every queue of the system, and everything that is true of it. To change one see CONTRIBUTING, "Change a queue".
 * Payloads and results are parsed by these schemas when they are put on and when they are taken off.
 */
export type QueueSpec = {
  payload: z.ZodType
  /** Payloads are smaller than this, as JSON: what is larger is not ours. */
  maxBytes: number
  result: z.ZodType
  /** Of all classes of failure together; how many of each, see classify. */
  attempts: number
  /** An entry that fails each time is halved until the bad frames are alone. */
  isolates?: boolean
  /** A worker that dies is noticed after lockMs + checkMs at most. `maxStalled` is high: evictions are no fault of the work. */
  lease: { lockMs: number; checkMs: number; maxStalled: number; maxStarted: number }
  /** Ended entries are kept this long for Bull Board, and so that adding the same id again adds nothing. */
  keep: { completed: Keep; failed: Keep }
}
type Keep = { age: number; count: number }

/** Entries that have been kept long enough go when others end, so many with each: BullMQ's own thousand would hold Redis up. */
const goAtOnce = 100

const days = (n: number) => n * 86_400
const lease = { lockMs: 10_000, checkMs: 5_000, maxStalled: 20, maxStarted: 40 }
const JobRef = z.strictObject({ jobId: JobId, trace: TraceParent.optional() })
const Nothing = z.object({})

export const queues = {
  split: {
    payload: JobRef,
    maxBytes: 16 << 10,
    result: Nothing,
    attempts: 20,
    lease,
    keep: { completed: { age: days(1), count: 5_000 }, failed: { age: days(7), count: 5_000 } },
  },
  batch: {
    payload: BatchPayload,
    maxBytes: 16 << 10,
    result: BatchResult,
    attempts: 20,
    isolates: true,
    lease,
    keep: { completed: { age: days(1), count: 100_000 }, failed: { age: days(7), count: 10_000 } },
  },
  stitch: {
    payload: JobRef,
    maxBytes: 16 << 10,
    result: Nothing,
    attempts: 20,
    lease,
    keep: { completed: { age: days(7), count: 10_000 }, failed: { age: days(7), count: 10_000 } },
  },
  // Nobody takes from it: its entries wait for people, who see them on Bull Board as well.
  quarantine: {
    payload: QuarantineRecord,
    maxBytes: 128 << 10,
    result: Nothing,
    attempts: 1,
    lease,
    keep: { completed: { age: days(30), count: 10_000 }, failed: { age: days(30), count: 10_000 } },
  },
  // A scheduler's entries: one every few seconds, taken by whichever autoscaler is first. Nothing of a job is in it, and
  // whoever takes from it makes it anew when it is broken.
  autoscale: {
    payload: Nothing,
    maxBytes: 16 << 10,
    result: Nothing,
    attempts: 1,
    lease,
    keep: { completed: { age: 3_600, count: 20 }, failed: { age: days(1), count: 20 } },
  },
  // Schedulers' entries: each says that a schedule is to be looked at. What is due is told from Blob, and the queue made anew
  // when it is broken.
  schedule: {
    payload: z.strictObject({ schedule: z.string().max(63) }),
    maxBytes: 16 << 10,
    result: Nothing,
    attempts: 1,
    lease,
    keep: { completed: { age: 3_600, count: 200 }, failed: { age: days(1), count: 200 } },
  },
} as const satisfies Record<string, QueueSpec>

/** The queues whose entries are parts of jobs. */
export type QueueName = Exclude<keyof typeof queues, 'quarantine' | 'autoscale' | 'schedule'>
export type AnyQueueName = keyof typeof queues
export type Payload<Q extends QueueName> = z.infer<(typeof queues)[Q]['payload']>
export type Result<Q extends QueueName> = z.infer<(typeof queues)[Q]['result']>

/** The ids of a job's entries depend on the job alone: adding them twice adds nothing. */
export const entryIds = {
  stitch: (jobId: string) => jobId,
  split: (jobId: string) => `${jobId}.split`,
  batch: (jobId: string, index: number) => `${jobId}.${String(index).padStart(6, '0')}`,
  /** A copy of a slow batch: nobody's child. */
  copy: (jobId: string, index: number) => `${entryIds.batch(jobId, index)}.copy`,
}

const idForms: Partial<Record<string, RegExp>> = {
  stitch: /^(.*)$/,
  split: /^(.*)\.split$/,
  batch: /^(.*)\.\d{6,}(?:\.copy)?$/,
}

/** The job that an entry belongs to, as its id says; undefined where no entry of ours has such an id. */
export function jobOfEntry(queue: AnyQueueName, entry: string): string | undefined {
  const jobId = JobId.safeParse(idForms[queue]?.exec(entry)?.[1])
  return jobId.data
}

/** BullMQ's options for an entry of a queue. `isChild`: see the warning inside. */
export function entryOptions(queue: QueueName, { isChild }: { isChild: boolean }): JobsOptions {
  const { attempts, keep } = queues[queue]
  return {
    attempts,
    backoff: { type: 'patient' },
    removeOnComplete: { ...keep.completed, limit: goAtOnce },
    removeOnFail: { ...keep.failed, limit: goAtOnce },
    stackTraceLimit: 5,
    // Without this a failed child leaves its parent waiting for ever; with removeOnFail instead the parent would run
    // with a hole it can't see. So: the parent wakes after all children, and reads the failures itself.
    ...(isChild ? { ignoreDependencyOnFailure: true } : {}),
  }
}

/**
 * BullMQ's options for a copy of a slow batch. It is tried once and nobody waits for it; one that failed is kept, so that the
 * same batch is not copied again and again. It is kept like any other batch: what is said here of age and count BullMQ would do
 * to all that failed on the queue.
 */
export const copyOptions: JobsOptions = {
  attempts: 1,
  removeOnComplete: true,
  removeOnFail: { ...queues.batch.keep.failed, limit: goAtOnce },
  stackTraceLimit: 5,
}

/** BullMQ's options for a worker of a queue. */
export function workerOptions(queue: QueueName | 'autoscale' | 'schedule') {
  const { lease: its } = queues[queue]
  return {
    lockDuration: its.lockMs,
    stalledInterval: its.checkMs,
    maxStalledCount: its.maxStalled,
    maxStartedAttempts: its.maxStarted,
    // After Redis was away; BullMQ's own is 15 s.
    runRetryDelay: 1_000,
    settings: { backoffStrategy },
  }
}

const pauses = Backoffs.builtinStrategies['exponential']?.(2_000, 0.5)
const longestPause = { own: 60_000, asked: 300_000 }

/** Milliseconds until the next attempt: what the other side asked for, else doubling from 1-2 s to 30-60 s. */
function backoffStrategy(attemptsMade: number, _type?: string, error?: Error): number {
  const asked = Math.min(retryAfterOf(error) ?? 0, longestPause.asked)
  const own = Math.min(Number(pauses?.(Math.min(attemptsMade, 6), 'exponential', error)), longestPause.own)
  return Math.max(asked, own)
}
