import { Counter, Gauge, type Registry } from 'prom-client'
import type { FleetSettings, FleetView } from '../shared/fleet.ts'
import type { Instance, InstanceState } from './policy.ts'

const states: InstanceState[] = ['starting', 'idle', 'busy', 'draining', 'held', 'failed', 'leaving']

export type FleetMetrics = ReturnType<typeof createFleetMetrics>

/** What the last turn of this autoscaler saw and decided. */
export function createFleetMetrics(registry: Registry) {
  const gauge = (name: string, help: string) => new Gauge({ name, help, registers: [registry] })
  const target = gauge('framefleet_fleet_target', 'Instances that are wanted')
  const max = gauge('framefleet_fleet_max', 'The most instances that there may be, as it is set now')
  const demand = gauge('framefleet_fleet_demand_seconds', 'Seconds one worker would need for all in line')
  const start = gauge(
    'framefleet_fleet_start_seconds',
    'Seconds from asking for an instance to its first work',
  )
  const last = gauge('framefleet_fleet_last_tick_seconds', 'When this autoscaler last had a turn, Unix time')
  const instances = new Gauge({
    name: 'framefleet_fleet_instances',
    help: 'Instances by what they are doing',
    labelNames: ['state'],
    registers: [registry],
  })
  const failed = new Counter({
    name: 'framefleet_fleet_ticks_failed_total',
    help: 'Turns that failed',
    registers: [registry],
  })
  return {
    failed,
    note(view: FleetView, seen: Instance[], settings: Pick<FleetSettings, 'max'>): void {
      target.set(view.target)
      max.set(settings.max)
      demand.set(view.demandSeconds)
      start.set(view.startSeconds)
      last.set(Date.parse(view.at) / 1_000)
      for (const state of states) instances.set({ state }, seen.filter((each) => each.state === state).length)
    },
  }
}
