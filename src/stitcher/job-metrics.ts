import { Counter, Histogram, type Registry } from 'prom-client'
import type { Report } from '../shared/job.ts'

/** How jobs ended, and how long they took from being accepted. */
export function createJobMetrics(registry: Registry) {
  const ended = new Counter({
    name: 'framefleet_jobs_total',
    help: 'Jobs that ended, by how',
    labelNames: ['status'],
    registers: [registry],
  })
  const seconds = new Histogram({
    name: 'framefleet_job_seconds',
    help: 'Seconds from accepting a job to its end, of those that succeeded',
    buckets: [5, 15, 30, 60, 120, 300, 600, 1_800, 3_600, 10_800, 43_200],
    registers: [registry],
  })
  return {
    note({ status, seconds: took }: Pick<Report, 'status' | 'seconds'>): void {
      ended.inc({ status })
      if (status === 'succeeded') seconds.observe(took)
    },
  }
}

/** What the last line of a job says of it. */
export function summaryOf({ jobId, status, error, model, ...report }: Report): Record<string, unknown> {
  const { seconds, frames, fps, framesReplaced, framesPassedThrough, batches, incidents, ms } = report
  return {
    ...{ job: jobId, status, ...(error ? { error } : {}), model: `${model.name}@${model.version}` },
    ...{ seconds, frames, fps, replaced: framesReplaced.length, through: framesPassedThrough.length },
    ...{ batches, incidents: incidents.length, workerSeconds: report.workerSeconds, ms },
  }
}
