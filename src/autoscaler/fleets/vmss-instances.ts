import type { FleetInstance } from '../fleet.ts'

/** What machines of both kinds of set have in common. */
export type AzureVm = {
  name?: string
  /** What Azure wants to be told when it is to go. */
  instanceId?: string
  provisioningState?: string
  timeCreated?: Date
  instanceView?: { statuses?: { code?: string }[] }
}

/**
 * What Azure says of a machine, in our words. `provisioningState` is of the latest change to it, also of one long after
 * it started; `PowerState/…` of its instance view is what it is doing now, and is missing while it is being made.
 *
 *   Creating, or power `starting`       starting
 *   power `running`                     running: also where its latest change has failed, for its worker may be busy
 *   Deleting, power `stopping` …        leaving
 *   power `deallocated`                 evicted: where the set keeps evicted spot machines. It does no work, counts against
 *                                       the quota and pays for its disk, and to start it again is no surer than a new one.
 *                                       To the fleet it is leaving: it did not fail. We remove it, as soon as we change
 *                                       anything
 *   power `stopped`, or Failed          failed
 */
export function machineState(vm: AzureVm): MachineState {
  const provisioning = vm.provisioningState?.toLowerCase()
  const power = powerOf(vm)
  if (provisioning === 'deleting' || power === 'deallocating' || power === 'stopping') return 'leaving'
  if (power === 'deallocated') return 'evicted'
  if (power === 'stopped') return 'failed'
  if (provisioning === 'creating' || power === 'starting') return 'starting'
  if (power === 'running') return 'running'
  return provisioning === 'failed' || provisioning === 'canceled' ? 'failed' : 'starting'
}

function powerOf(vm: AzureVm): string | undefined {
  const prefix = 'powerstate/'
  return vm.instanceView?.statuses
    ?.map(({ code }) => code?.toLowerCase() ?? '')
    .find((code) => code.startsWith(prefix))
    ?.slice(prefix.length)
}

type MachineState = FleetInstance['state'] | 'evicted'

/** `id`: what Azure wants to be told when it is to go. `since`: ms of the clock. */
export type Machine = { name: string; id: string; state: MachineState; since: number }

/** The machines of a listing. States have no times of their own at Azure: they began when we first saw them. */
export function machinesOf(vms: AzureVm[], before: Map<string, Machine>, now: number) {
  const machines = new Map<string, Machine>()
  for (const vm of vms) {
    const { name, instanceId: id } = vm
    if (name === undefined || id === undefined) continue
    const state = machineState(vm)
    const known = before.get(name)
    const made = state === 'starting' || state === 'running' ? vm.timeCreated?.getTime() : undefined
    const since = known?.state === state && known.id === id ? known.since : (made ?? now)
    machines.set(name, { name, id, state, since })
  }
  return machines
}
