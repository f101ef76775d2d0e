import { Counter, type Registry } from 'prom-client'

/** How it was said that a blob landed. */
export type Way = 'queue' | 'webhook' | 'poll' | 'retry'

export type ArrivalMetrics = ReturnType<typeof createArrivalMetrics>

export function createArrivalMetrics(registry: Registry) {
  const arrivals = new Counter({
    name: 'framefleet_arrivals_total',
    help: 'Blobs that were said to have landed, by who said it and what became of it',
    labelNames: ['way', 'outcome'],
    registers: [registry],
  })
  const waits = new Counter({
    name: 'framefleet_arrival_waits_total',
    help: 'Times that a blob that landed had to wait: no room in the line, or storage or Redis away',
    labelNames: ['way'],
    registers: [registry],
  })
  return { arrivals, waits }
}
