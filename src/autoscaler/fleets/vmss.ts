import type { TokenCredential } from '@azure/identity'
import { TransientError } from '../../shared/errors.ts'
import type { Logger } from '../../shared/log.ts'
import { type Fleet, type FleetInstance, FleetRefusal } from '../fleet.ts'
import { connectArm, Throttled } from './vmss-arm.ts'
import { type ArmLimits, createBudgets } from './vmss-budget.ts'
import { explain, refusalOf, roomLeft, statusOf } from './vmss-errors.ts'
import { type Machine, machinesOf } from './vmss-instances.ts'
import { createOperations } from './vmss-operations.ts'
import { removeMachines } from './vmss-remove.ts'

export type VmssFleetOptions = {
  /** `/subscriptions/…/resourceGroups/…/providers/Microsoft.Compute/virtualMachineScaleSets/NAME` */
  vmssId: string
  endpoint: string
  credential: TokenCredential
  log: Logger
  limits?: ArmLimits
  /** A running operation is looked at so often. */
  pollEveryMs?: number
  now?: () => number
}

/** Growing is more urgent than looking once more: so many gets are left to it. */
const getsForGrowth = 4
/** Where Azure may not be asked, what we know is good for so long. */
const knownForMs = 5 * 60_000
/** Machines that are to be there and that Azure does not make for so long are asked for once more. */
const shortForMs = 60_000
const notNamed = 15 * 60_000

type ScaleSet = { capacity: number; sku: { name?: string; tier?: string }; etag?: string; working: boolean }

/**
 * A VM scale set of Azure, of uniform orchestration. Its machines are called as Azure's metadata service calls them on
 * the machine itself (`compute.name`, such as `fleet_3`).
 *
 * The identity needs, on the scale set (the role Virtual Machine Contributor has all): Microsoft.Compute/
 * virtualMachineScaleSets/read, …/write, …/delete/action, …/virtualMachines/read, …/virtualMachines/instanceView/read,
 * and Microsoft.Compute/locations/operations/read on the subscription; besides, where they are the set's own:
 * Microsoft.Network/virtualNetworks/subnets/join/action on its subnet, Microsoft.ManagedIdentity/userAssignedIdentities/
 * assign/action on the workers' identity, and Microsoft.Compute/galleries/images/versions/read on its image.
 *
 * Capacity is never lowered by us: Azure would choose who goes. Removing machines lowers it.
 */
export function createVmssFleet({
  vmssId,
  endpoint,
  credential,
  log,
  limits,
  pollEveryMs = 10_000,
  now = Date.now,
}: VmssFleetOptions): Fleet {
  const arm = connectArm({ vmssId, endpoint, credential })
  const budgets = createBudgets(limits, now)
  const operations = createOperations({ budget: budgets.operation, pollEveryMs, now })
  const closed = new AbortController()

  let set: (ScaleSet & { at: number }) | undefined
  let listed: { machines: Map<string, Machine>; at: number } | undefined
  /** Asked to go, and when: a listing shows it only later. */
  const going = new Map<string, number>()
  /** Could not be removed with others: asked for alone, so that they hold nobody up. */
  const alone = new Set<string>()
  let quietUntil = 0
  let shortSince: number | undefined
  let growthFailed: { refusal: FleetRefusal; until: number } | undefined
  let removalFailed: Error | undefined

  async function call<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    const stop = AbortSignal.any([signal, closed.signal])
    stop.throwIfAborted()
    try {
      return await arm.within(stop, work)
    } catch (error) {
      if (stop.aborted) throw error
      if (error instanceof Throttled) quietUntil = now() + (error.retryAfterMs ?? 0)
      throw explain(error, arm.name)
    }
  }

  async function look() {
    await noteFailures()
    const fresh = await lookAfresh()
    const oldest = Math.min(set?.at ?? -Infinity, listed?.at ?? -Infinity)
    if (set === undefined || listed === undefined || now() - oldest > knownForMs) {
      const seconds = Math.ceil(Math.max(1_000, quietUntil - now()) / 1000)
      throw new TransientError(`Azure may not be asked about ${arm.name} for another ${seconds} s.`)
    }
    const instances = [...listed.machines.values()].map(seen)
    const short = fresh && !set.working && instances.length < set.capacity
    shortSince = short ? (shortSince ?? now()) : undefined
    return { capacity: set.capacity, instances }
  }

  /** As far as Azure may be asked now; answers whether all of it is fresh. */
  async function lookAfresh(): Promise<boolean> {
    if (now() < quietUntil) return false
    try {
      const got = budgets.get.take(getsForGrowth)
      if (got) await readSet()
      const read = budgets.list.take()
      if (read) await readMachines()
      return got && read
    } catch (error) {
      if (!(error instanceof Throttled) || set === undefined || listed === undefined) throw error
      quietUntil = now() + (error.retryAfterMs ?? 0)
      log.warn({ err: error }, 'the scale set is not looked at for a while')
      return false
    }
  }

  async function readSet(): Promise<ScaleSet> {
    const { sku, etag, orchestrationMode, provisioningState } = await arm.get()
    if (orchestrationMode === 'Flexible') {
      throw new Error(
        `The scale set ${arm.name} has flexible orchestration: make one with --orchestration-mode Uniform.`,
      )
    }
    const { name, tier, capacity = 0 } = sku ?? {}
    const working = !/^(succeeded|failed|canceled)$/i.test(provisioningState ?? '')
    set = { capacity, sku: { name, tier }, etag, working, at: now() }
    return set
  }

  async function readMachines() {
    const vms = []
    let pages = 0
    for await (const page of arm.list()) {
      if (pages++ > 0) budgets.list.spend()
      vms.push(...page)
    }
    const before = listed?.machines ?? new Map<string, Machine>()
    const machines = machinesOf(vms, before, now())
    listed = { machines, at: now() }
    for (const name of before.keys()) {
      if (machines.has(name)) continue
      if (!going.has(name))
        log.info({ instance: name }, 'gone without our doing: evicted, or removed by somebody')
      going.delete(name)
      alone.delete(name)
    }
    for (const [name, at] of going) if (now() - at > notNamed) going.delete(name)
  }

  function seen({ name, state, since }: Machine): FleetInstance {
    const askedAt = going.get(name)
    if (askedAt === undefined || state === 'leaving') return { name, state, since }
    return { name, state: 'leaving', since: askedAt }
  }

  async function noteFailures() {
    for (const { operation, error } of await operations.failures()) {
      const { kind, names } = operation
      const plain = explain(error, arm.name)
      log.warn({ err: plain, instances: names }, `Azure did not ${kind}`)
      if (kind === 'grow') {
        const refusal =
          refusalOf(error, arm.name) ?? new FleetRefusal(plain.message, { retryAfterMs: shortForMs })
        growthFailed = { refusal, until: now() + refusal.retryAfterMs }
        continue
      }
      for (const name of names) {
        going.delete(name)
        if (names.length > 1) alone.add(name)
      }
      removalFailed = new Error(`Azure did not remove all of ${names.join(', ')}: ${plain.message}`)
    }
  }

  async function grow(to: number) {
    const leftMs = (growthFailed?.until ?? 0) - now()
    if (growthFailed !== undefined && leftMs > 0)
      throw new FleetRefusal(growthFailed.refusal.message, { retryAfterMs: leftMs })
    growthFailed = undefined
    if (now() < quietUntil)
      throw new FleetRefusal('Azure wants to be left alone.', { retryAfterMs: quietUntil - now() })

    // Somebody else may change the set between our look and our request: then once more, from what it is now.
    for (let turn = 0; turn < 3; turn++) {
      if (!budgets.get.take()) throw tooOften(budgets.get.waitMs())
      const { capacity, etag, sku } = await readSet()
      const short = shortSince !== undefined && now() - shortSince > shortForMs
      if (to <= capacity && !short) return
      const size = Math.max(to, capacity)
      try {
        await resize({ ...sku, capacity: size }, etag)
        shortSince = undefined
        return
      } catch (error) {
        if (statusOf(error) === 412) continue
        const asked = size - capacity
        const fit = roomLeft(error, asked)
        if (fit > 0) await resize({ ...sku, capacity: capacity + fit }, etag)
        const refusal = refusalOf(error, arm.name)
        if (refusal === undefined) throw error
        const got = fit > 0 ? `${fit} of ${asked} machines were asked for. ` : ''
        throw new FleetRefusal(`${got}${refusal.message}`, { retryAfterMs: refusal.retryAfterMs })
      }
    }
  }

  async function resize(sku: { name?: string; tier?: string; capacity: number }, etag?: string) {
    if (!budgets.update.take()) throw tooOften(budgets.update.waitMs())
    const poller = arm.resize(sku, etag)
    await poller.submitted()
    log.info({ capacity: sku.capacity }, 'the scale set grows')
    operations.add({ kind: 'grow', names: [], poll: () => poller.poll() })
  }

  async function remove(names: string[]) {
    if (now() < quietUntil) return
    const asked = names.flatMap((name) => {
      const machine = listed?.machines.get(name)
      return machine === undefined || seen(machine).state === 'leaving' ? [] : [machine]
    })
    const earlier = removalFailed
    removalFailed = undefined
    await removeMachines({
      machines: asked,
      alone,
      budget: budgets.delete,
      ask: async (machines) => {
        const poller = arm.delete(machines.map(({ id }) => id))
        await poller.submitted()
        const gone = machines.map(({ name }) => name)
        for (const name of gone) going.set(name, now())
        log.info({ instances: gone }, 'machines are removed')
        operations.add({ kind: 'remove', names: gone, poll: () => poller.poll() })
      },
      sentence: (error) => explain(error, arm.name).message,
    })
    if (earlier !== undefined) throw earlier
  }

  return {
    kind: 'vmss',
    look: (signal) => call(signal, look),
    grow: (to, signal) =>
      call(signal, () =>
        grow(to).catch((error: unknown) => {
          throw refusalOf(error, arm.name) ?? error
        }),
      ),
    remove: (names, signal) => call(signal, () => remove(names)),
    close: async () => closed.abort(),
  }
}

const tooOften = (waitMs: number) =>
  new FleetRefusal('Azure has been asked as often as it allows: growth waits.', {
    retryAfterMs: Math.max(1_000, waitMs),
  })
