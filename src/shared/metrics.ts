import { Counter, Histogram, Registry, collectDefaultMetrics } from 'prom-client'

/** A registry for each role, handed to whatever observes; nothing here is global. */
export function createRegistry(role: string): Registry {
  const registry = new Registry()
  registry.setDefaultLabels({ role })
  collectDefaultMetrics({ register: registry })
  return registry
}

export type WorkMetrics = ReturnType<typeof createWorkMetrics>

/** What every role that takes work from a queue counts. Labels are bounded: queue names and error classes. */
export function createWorkMetrics(registry: Registry) {
  const seconds = new Histogram({
    name: 'framefleet_work_seconds',
    help: 'Seconds a piece of work took, by queue and phase',
    labelNames: ['queue', 'phase'],
    buckets: [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300],
    registers: [registry],
  })
  const outcomes = new Counter({
    name: 'framefleet_work_total',
    help: 'Pieces of work ended, by queue and outcome: done, or the class of the error; lost was given back',
    labelNames: ['queue', 'outcome'],
    registers: [registry],
  })
  const frames = new Counter({
    name: 'framefleet_frames_total',
    help: 'Frames scored and committed',
    registers: [registry],
  })
  const errors = new Counter({
    name: 'framefleet_queue_errors_total',
    help: 'Errors between a worker and its queue, such as entries that can not be read',
    labelNames: ['queue'],
    registers: [registry],
  })
  const pauses = new Counter({
    name: 'framefleet_claim_pauses_total',
    help: 'Times a worker waited because it could claim nothing, by queue',
    labelNames: ['queue'],
    registers: [registry],
  })
  return { seconds, outcomes, frames, errors, pauses }
}
