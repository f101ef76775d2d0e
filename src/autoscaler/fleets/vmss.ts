import type { TokenCredential } from '@azure/identity'
import type { Logger } from '../../shared/log.ts'
import { type Fleet, FleetRefusal } from '../fleet.ts'
import { connectArm } from './vmss-arm.ts'
import { type ArmLimits, createBudgets } from './vmss-budget.ts'
import { explain, refusalOf, roomLeft, statusOf } from './vmss-errors.ts'
import type { Machine } from './vmss-instances.ts'
import { createOperations } from './vmss-operations.ts'
import { removeMachines } from './vmss-remove.ts'
import { createVmssView, type ScaleSet } from './vmss-view.ts'

export type VmssFleetOptions = {
  /** `/subscriptions/…/resourceGroups/…/providers/Microsoft.Compute/virtualMachineScaleSets/NAME` */
  vmssId: string
  /** `https://management.azure.com`, or that of another cloud; plain HTTP for loopback only. */
  endpoint: string
  credential: TokenCredential
  log: Logger
  /** How often Azure may be asked. */
  limits?: ArmLimits
  /** An operation that is under way is looked at so often. */
  pollEveryMs?: number
  now?: () => number
}

/** A growth that failed for no reason that we know. */
const failedPauseMs = 60_000
const fullPauseMs = 30_000
const changedPauseMs = 10_000

/**
 * A VM scale set of Azure, of uniform or flexible orchestration. Its machines are called as Azure's metadata service calls
 * them on the machine itself (`compute.name`, such as `fleet_3` or `fleet_1f2e3d4c`). Every call throws one clear sentence.
 *
 * The identity needs, of Microsoft.Compute/virtualMachineScaleSets on the set: read, write, delete/action,
 * virtualMachines/read and virtualMachines/instanceView/read (Virtual Machine Contributor has them all); and, because
 * growing counts as writing the whole set, Microsoft.Network/virtualNetworks/subnets/join/action on its subnet,
 * Microsoft.ManagedIdentity/userAssignedIdentities/assign/action on the identities of its machines, and
 * Microsoft.Compute/galleries/images/versions/read on an image of one's own. With Microsoft.Compute/locations/operations/
 * read on the subscription it also hears why a growth failed later; without, it only sees the failed machines.
 *
 * Machines of a flexible set are resources of its group, and there it needs Microsoft.Compute/virtualMachines/read,
 * virtualMachines/instanceView/read and virtualMachines/delete, and to grow it virtualMachines/write with the rights to make
 * disks and network interfaces; what else Azure may ask for, its refusal names.
 *
 * Capacity is never lowered by us while there is a machine: Azure would choose who goes. Removing machines lowers it.
 */
export function createVmssFleet(options: VmssFleetOptions): Fleet {
  const { log, limits, pollEveryMs = 10_000, now = Date.now } = options
  const arm = connectArm(options)
  const budgets = createBudgets(limits, now)
  const view = createVmssView({ arm, budgets, log, now })
  const operations = createOperations({ budget: budgets.operation, pollEveryMs, now })
  const closed = new AbortController()
  /** Could not be removed with others: asked for alone, so that they hold nobody up. */
  let alone = new Set<string>()
  /** What an operation ended with, for the next call of its kind. */
  let growthFailed: { refusal: FleetRefusal; until: number } | undefined
  let removalFailed: Error | undefined

  async function call<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    const stop = AbortSignal.any([signal, closed.signal])
    stop.throwIfAborted()
    try {
      return await arm.within(stop, work)
    } catch (error) {
      throw stop.aborted ? error : explain(error, arm.name)
    }
  }

  async function look() {
    for (const { operation, error } of await operations.failures()) {
      const { kind, names } = operation
      const { message } = explain(error, arm.name)
      log.warn({ instances: names, reason: message }, `Azure did not ${kind}, in the end`)
      if (kind === 'grow') {
        const refusal =
          refusalOf(error, arm.name) ?? new FleetRefusal(message, { retryAfterMs: failedPauseMs })
        growthFailed = { refusal, until: now() + refusal.retryAfterMs }
      } else {
        view.stays(names)
        alone = new Set([...alone, ...names])
        removalFailed = new Error(`Azure did not remove all of ${names.join(', ')}: ${message}`)
      }
    }
    return await view.look()
  }

  async function grow(to: number): Promise<boolean> {
    const leftMs = (growthFailed?.until ?? 0) - now()
    if (growthFailed !== undefined && leftMs > 0) {
      throw new FleetRefusal(growthFailed.refusal.message, { retryAfterMs: leftMs })
    }
    growthFailed = undefined
    await removeEvicted()
    // Somebody else may change the set between our look and our request: then once more, from what it is now.
    for (let turn = 0; turn < 3; turn++) {
      if (!budgets.get.take()) throw tooOften(budgets.get.waitMs())
      const set = await view.readSet()
      const gone = view.evicted().length + view.ghosts()
      const wanted = to + gone
      const size = Math.max(Math.min(wanted, set.most), set.capacity)
      const isMore = size > set.capacity || view.isShort()
      if (wanted > set.most && gone > 0 && (!isMore || view.isEmpty())) return await recount(set, gone)
      if (!isMore && wanted > size) throw full(set)
      if (!isMore) return false
      try {
        await resize(set, size)
        return true
      } catch (error) {
        if (statusOf(error) !== 412) return await growInPart(set, size, error)
      }
    }
    throw new FleetRefusal(`Others change the scale set ${arm.name} all the time: growth waits.`, {
      retryAfterMs: changedPauseMs,
    })
  }

  const full = ({ most }: ScaleSet) =>
    new FleetRefusal(`The scale set ${arm.name} takes ${most} machines at most.`, {
      retryAfterMs: fullPauseMs,
    })

  /** The goal counts too many that are gone: it starts anew once nobody is there who could be taken. Throws in any case. */
  async function recount(set: ScaleSet, gone: number): Promise<never> {
    if (view.isEmpty() && !set.working) await resize(set, 0)
    throw new FleetRefusal(
      `The scale set ${arm.name} counts ${gone} machines that are gone: Azure makes more once it was empty.`,
      { retryAfterMs: fullPauseMs },
    )
  }

  /** Azure gives all or none: for as many as a quota has room for we ask ourselves. Throws in any case. */
  async function growInPart(set: ScaleSet, to: number, error: unknown): Promise<never> {
    const asked = to - set.capacity
    const fit = roomLeft(error, asked)
    if (fit > 0) await resize(set, set.capacity + fit)
    const refusal = refusalOf(error, arm.name)
    if (refusal === undefined) throw error
    const got = fit > 0 ? `${fit} of ${asked} machines were asked for. ` : ''
    throw new FleetRefusal(`${got}${refusal.message}`, { retryAfterMs: refusal.retryAfterMs })
  }

  /** Begins, and throws what Azure says at once. What it says later, a look will hear. */
  async function resize({ sku, etag }: ScaleSet, capacity: number) {
    if (!budgets.update.take()) throw tooOften(budgets.update.waitMs())
    const poller = arm.resize({ ...sku, capacity }, etag)
    await poller.submitted()
    view.grows(capacity)
    log.info({ capacity }, 'the scale set is given a size')
    operations.add({ kind: 'grow', names: [], poll: () => poller.poll() })
  }

  async function remove(names: string[]) {
    const earlier = removalFailed
    removalFailed = undefined
    const asked = new Set([...view.present(names), ...view.evicted()])
    const went = await removeThese([...asked])
    if (earlier !== undefined) throw earlier
    return went
  }

  /** They take the room of new ones. Where they can't be removed, that is no reason not to grow. */
  async function removeEvicted() {
    const evicted = view.evicted()
    if (evicted.length === 0) return
    await removeThese(evicted).catch((error: unknown) => {
      const { message } = explain(error, arm.name)
      log.warn({ reason: message }, 'evicted machines could not be removed')
    })
  }

  async function removeThese(machines: Machine[]) {
    alone = new Set([...alone].filter(view.isListed))
    return await removeMachines({
      machines,
      alone,
      budget: budgets.delete,
      ask: async (some) => {
        const poller = arm.delete(some.map(({ id }) => id))
        await poller.submitted()
        const names = some.map(({ name }) => name)
        view.goes(names)
        log.info({ instances: names }, 'machines are removed')
        operations.add({ kind: 'remove', names, poll: () => poller.poll() })
      },
      sentence: (error) => explain(error, arm.name).message,
    })
  }

  return {
    kind: 'vmss',
    look: (signal) => call(signal, look),
    grow: (to, signal) =>
      call(signal, async () => {
        try {
          return await grow(to)
        } catch (error) {
          throw refusalOf(error, arm.name) ?? error
        }
      }),
    remove: (names, signal) => call(signal, () => remove(names)),
    close: async () => closed.abort(),
  }
}

const tooOften = (waitMs: number) =>
  new FleetRefusal('Azure has been asked as often as it allows: growth waits.', {
    retryAfterMs: Math.max(1_000, waitMs),
  })
