import { DelayedError, type Job, UnrecoverableError, WaitingError } from 'bullmq'
import { z } from 'zod'
import { type ErrorClass, classify, isLast } from './classify.ts'
import { type Failures, type Incidents, incidentOf } from './incidents.ts'
import { type Logger, withLogContext } from './log.ts'
import type { WorkMetrics } from './metrics.ts'
import { type Payload, type QueueName, type Result, jobOfEntry, queues } from './queues.ts'
import { redact } from './redact.ts'
import { type Span, type Tracing, untraced } from './tracing.ts'

/** A piece of work as a role describes it; everything about BullMQ is in this file and in the roles' main.ts. */
export type Workload<Q extends QueueName> = {
  queue: Q
  process(data: Payload<Q>, context: WorkContext): Promise<Result<Q>>
  /** Called once no further attempt will be made, before the entry fails. */
  onTerminalFailure(data: Payload<Q>, error: Error, kind: ErrorClass): Promise<void>
}

export type WorkContext = {
  signal: AbortSignal
  log: Logger
  /** Where its job is traced. */
  span?: Span | undefined
  /** From 1. */
  attempt: number
  /** Somebody has begun this before, and may have done some of it. */
  again: boolean
  /** How often this entry has failed so far, on whatever worker. */
  failures: Failures
  /** What went wrong in children of this entry that were let fail: entry key → reason. */
  childFailures(): Promise<Record<string, string>>
}

type ProcessorDeps = {
  log: Logger
  incidents: Incidents
  metrics?: Pick<WorkMetrics, 'outcomes'>
  tracing?: Tracing
}

/** A few turns of the sweep. */
const untilSweptMs = 15_000

/**
 * Makes the function that BullMQ calls. What happens to a failure follows from its class (see classify): lost work goes
 * back to the front without spending an attempt, the rest is noted as an incident and tried again while its class
 * allows. One log line for each piece of work.
 */
export function processorOf<Q extends QueueName>(
  workload: Workload<Q>,
  { log, incidents, metrics, tracing = untraced }: ProcessorDeps,
) {
  const { queue } = workload
  return async (job: Job, token: string | undefined, signal: AbortSignal | undefined): Promise<unknown> => {
    const started = performance.now()
    const attempt = (job.attemptsMade ?? 0) + 1
    const entry = job.id ?? ''
    const fields = { queue, job: jobOfEntry(queue, entry), entry, attempt }
    return await withLogContext(fields, async () => {
      const read = queues[queue].payload.safeParse(job.data)
      if (!read.success) {
        // Its parent must not wake by it: the sweep takes it away, and puts back what should lie there.
        log.warn({ err: z.prettifyError(read.error) }, `the payload of this ${queue} entry can't be read`)
        await job.moveToDelayed(Date.now() + untilSweptMs, token)
        throw new DelayedError()
      }
      const data = read.data as Payload<Q>
      const attributes = {
        ...{ 'framefleet.job': data.jobId, 'framefleet.entry': entry, 'framefleet.attempt': attempt },
      }
      return await tracing.child(
        queue,
        { parent: data.trace, attributes },
        async (span) =>
          await withLogContext(span ? { trace: span.traceId } : {}, async () => await take(data, span)),
      )
    })

    async function take(data: Payload<Q>, span: Span | undefined): Promise<unknown> {
      const context: WorkContext = {
        signal: signal ?? new AbortController().signal,
        log,
        span,
        attempt,
        again: job.attemptsStarted > 1,
        failures: attempt > 1 ? await incidents.failuresOf(data.jobId, entry).catch(() => ({})) : {},
        childFailures: async () => await job.getIgnoredChildrenFailures(),
      }
      try {
        const result = queues[queue].result.parse(await workload.process(data, context))
        span?.set({ 'framefleet.outcome': 'done' })
        log.info({ ...result, totalMs: Math.round(performance.now() - started) }, `${queue} done`)
        return result
      } catch (thrown) {
        const error = clean(thrown)
        // Work that was told to stop breaks in many ways; whatever it says, it is to be done again by somebody else.
        const kind = signal?.aborted ? 'lost' : classify(error)
        span?.set({ 'framefleet.outcome': kind })
        if (kind === 'lost') {
          log.warn({ class: kind, err: error }, `${queue} given back`)
          // BullMQ tells nobody of it.
          metrics?.outcomes.inc({ queue, outcome: kind })
          return await giveBack(job, token)
        }
        const incident = incidentOf(error, { queue, entry, class: kind, attempt })
        // Redis being away must not hide what went wrong.
        const failures = await incidents.note(data.jobId, incident).catch((): Failures => ({}))
        const attempts = Math.min(job.opts.attempts ?? 1, queues[queue].attempts)
        const last = attempt >= attempts || isLast(error, kind, failures, 'isolates' in queues[queue])
        log.warn({ class: kind, last, err: error }, `${queue} failed`)
        if (last) {
          await workload.onTerminalFailure(data, error, kind)
          throw Object.assign(new UnrecoverableError(error.message), { kind })
        }
        throw error
      }
    }
  }
}

/**
 * Puts work back where it was in line, no attempt spent; throws WaitingError, as BullMQ wants it. BullMQ tells nobody of
 * what has a priority and comes back: who waits for work would find it seconds later, unless its priority is set anew.
 */
export async function giveBack(job: Job, token: string | undefined): Promise<never> {
  await job.moveToWait(token)
  if (job.priority > 0) await job.changePriority({ priority: job.priority }).catch(() => {})
  throw new WaitingError()
}

/** The error as it may travel: its text and stack without secrets. */
function clean(thrown: unknown): Error {
  // The messages of some errors, such as DOMException, can't be written to.
  if (!(thrown instanceof Error) || thrown instanceof DOMException) return new Error(redact(String(thrown)))
  thrown.message = redact(thrown.message)
  if (thrown.stack) thrown.stack = redact(thrown.stack)
  return thrown
}
