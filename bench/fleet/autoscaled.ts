import {
  decide,
  type Instance,
  type InstanceState,
  present,
  type Snapshot,
} from '../../src/autoscaler/policy.ts'
import type { Controller } from './controller.ts'
import type { Machine } from './world.ts'

/** The product's own policy, turn by turn. Never fewer than `min` machines, never more than `max`. */
export function autoscaled(options: {
  backlogSeconds: number
  max: number
  min?: number
  name?: string
}): Controller {
  const { backlogSeconds, max, min = 0, name = 'framefleet' } = options
  return {
    name,
    everySeconds: 5,
    atFirst: 0,
    toZero: min === 0,
    turn(view, levers) {
      const snapshot: Snapshot = {
        now: view.now,
        demand: {
          workSeconds: view.workSeconds,
          entries: view.waiting + view.active,
          unplannedJobs: view.unplannedJobs,
        },
        instances: view.machines.map(instanceOf),
        limits: { min, max, size: null, paused: false },
        workersPerInstance: 1,
        startSeconds: view.startSeconds,
        backlogSeconds,
        arrivals: view.arrivals,
        growthBlockedUntil: 0,
      }
      const decision = decide(snapshot)
      levers.recall(decision.recall)
      levers.hold(decision.hold)
      levers.remove(decision.remove)
      levers.start(Math.max(0, decision.grow - present(snapshot)))
    },
  }
}

const instanceOf = (machine: Machine): Instance => ({
  name: machine.name,
  state: stateOf(machine),
  since: machine.since,
})

function stateOf({ state, held }: Machine): InstanceState {
  if (state === 'gone') return 'leaving'
  if (held && state === 'idle') return 'held'
  if (held && state === 'busy') return 'draining'
  return state
}
