import type { Worker } from 'bullmq'
import { classify } from './classify.ts'
import type { Logger } from './log.ts'
import type { WorkMetrics } from './metrics.ts'

/** Wires a BullMQ worker's events to metrics and log lines, and a lost lock to the work that holds it. */
export function observeWorker(worker: Worker, metrics: WorkMetrics, log: Logger): void {
  const { name: queue } = worker
  worker.on('completed', (job, result: { ms?: Record<string, number>; frames?: number } | null) => {
    metrics.outcomes.inc({ queue, outcome: 'done' })
    metrics.seconds.observe(
      { queue, phase: 'total' },
      ((job.finishedOn ?? 0) - (job.processedOn ?? 0)) / 1_000,
    )
    for (const [phase, ms] of Object.entries(result?.ms ?? {}))
      metrics.seconds.observe({ queue, phase }, ms / 1_000)
    if (result?.frames) metrics.frames.inc(result.frames)
  })
  worker.on('failed', (_job, error) => metrics.outcomes.inc({ queue, outcome: classify(error) }))
  worker.on('stalled', (entry) =>
    log.warn({ queue, entry }, 'a worker went away in the middle: its work is taken again'),
  )
  worker.on('error', (error) => log.warn({ queue, err: error.message }, 'queue trouble'))
  // BullMQ goes on working after a lock is lost, while another worker has the entry already: stop at once.
  worker.on('lockRenewalFailed', (entries) => {
    for (const entry of entries) worker.cancelJob(entry, 'lock lost')
  })
}
