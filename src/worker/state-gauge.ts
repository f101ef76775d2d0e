import { Gauge, type Registry } from 'prom-client'
import { type WorkerState, workerStates } from '../shared/fleet.ts'

/** What the worker does at the moment it is asked. */
export function createStateGauge(registry: Registry, state: () => WorkerState): void {
  const gauge = new Gauge({
    name: 'framefleet_worker_state',
    help: `1 for what the worker does now, 0 for the others: ${workerStates.join(', ')}`,
    labelNames: ['state'],
    registers: [registry],
    collect() {
      for (const each of workerStates) gauge.set({ state: each }, each === state() ? 1 : 0)
    },
  })
}
