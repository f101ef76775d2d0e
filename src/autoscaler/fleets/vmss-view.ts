import type { VirtualMachineScaleSet } from '@azure/arm-compute'
import { TransientError } from '../../shared/errors.ts'
import type { Logger } from '../../shared/log.ts'
import type { Fleet, FleetInstance } from '../fleet.ts'
import { type Arm, Throttled } from './vmss-arm.ts'
import type { createBudgets } from './vmss-budget.ts'
import { type AzureVm, type Machine, machinesOf } from './vmss-instances.ts'
import { type Orchestration, orchestrationOf } from './vmss-orchestration.ts'

/** Growing is more urgent than looking once more: so many gets are left to it. */
const getsForGrowth = 4
/** Where Azure may not be asked, what we know is good for so long. */
const knownForMs = 5 * 60_000
/** How long the goal may still count what was removed. */
const goalLagsMs = 2 * 60_000
/** A machine that was to go and is there after so long may be asked to go again. */
const stillThereMs = 15 * 60_000
/** A machine that has been leaving for so long may be for hours: what is missing beside it is not waited for. */
const stuckMs = 10 * 60_000
/** What Azure allows a scale set, of either kind, and one that is confined to a placement group. */
const mostOfSet = 1_000
const mostOfGroup = 100

export type ScaleSet = {
  /** How many there are to be: Azure's goal. */
  capacity: number
  /** The largest goal that Azure takes. */
  most: number
  sku: { name?: string; tier?: string }
  etag?: string
  /** Azure is at it. */
  working: boolean
  /** Its machines may be taken away at any moment. */
  spot: boolean
  orchestration: Orchestration
}

/**
 * What we know of a scale set, and when we heard it. Azure may not be asked as often as we look.
 *
 *   listed ──asked to go──► leaving, for us ──► not listed any more: gone
 *     ▲                          └── it did not go: back
 *     └── not listed any more, and nobody asked: evicted, or removed by somebody
 */
export function createVmssView({
  arm,
  budgets,
  log,
  now,
}: {
  arm: Arm
  budgets: ReturnType<typeof createBudgets>
  log: Logger
  now: () => number
}) {
  let set: (ScaleSet & { at: number }) | undefined
  let listed: { machines: Map<string, Machine>; at: number } | undefined
  /** Asked to go, and when: a listing shows it only later. */
  const going = new Map<string, number>()
  /** What the goal was when some were last asked to go, and how many. */
  let removed: { of: number; count: number; at: number } | undefined
  /** Since when Azure has made fewer than it was to, and has stopped. */
  let shortSince: number | undefined
  /** So many of the goal are gone, stuck, or never came, and Azure makes nobody for them. Undefined until all stood still once. */
  let ghosts: number | undefined
  let warnedUntil = 0

  /** Throws `Throttled` or `TransientError` where nothing recent is known and Azure may not be asked. */
  async function look(): ReturnType<Fleet['look']> {
    const isFresh = await readBoth()
    const oldest = Math.min(set?.at ?? -Infinity, listed?.at ?? -Infinity)
    if (set === undefined || listed === undefined || now() - oldest > knownForMs) {
      throw new TransientError(`Azure has been asked about ${arm.name} as often as it allows.`)
    }
    const instances = [...listed.machines.values()].map(seen)
    if (isFresh) learn(set)
    const known = coming(set, instances)
    // What another autoscaler asked for since may be missing in it.
    return { ...known, ...(!isFresh && { guessed: true }), spot: set.spot, instances }
  }

  function learn({ capacity, working, orchestration }: ScaleSet) {
    const machines = [...(listed?.machines.values() ?? [])]
    const stuck = machines.filter(isStuck).length
    const there = machines.length - stuck
    const { makesWhatIsMissing } = orchestration
    // It makes nobody in place of one that is stuck, for as long as that counts.
    const counted = makesWhatIsMissing ? machines.length : there
    const isShort = !working && counted < capacity - (makesWhatIsMissing ? 0 : (ghosts ?? 0))
    shortSince = isShort ? (shortSince ?? now()) : undefined
    // Of one that is leaving nobody knows whether the goal still has it.
    const moves = machines.some((each) => (each.state === 'leaving' || isGoing(each)) && !isStuck(each))
    if (working || moves) return
    const missing = Math.max(0, capacity - there)
    if (makesWhatIsMissing) ghosts = Math.min(stuck, missing)
    if (makesWhatIsMissing || (isShort && !isOver(orchestration))) return
    ghosts = missing
    // Whom we removed is among them, where the goal still has them.
    removed = undefined
  }

  const isOver = ({ shortForMs }: Orchestration) =>
    shortSince !== undefined && now() - shortSince > shortForMs

  /** As far as Azure may be asked now; answers whether all of it is fresh. */
  async function readBoth(): Promise<boolean> {
    try {
      const asksSet = budgets.get.take(getsForGrowth)
      if (asksSet) await readSet()
      if (set === undefined) return false
      const { orchestration } = set
      const asksMachines = budgets[orchestration.budget].take()
      if (asksMachines) await readMachines(orchestration)
      return asksSet && asksMachines
    } catch (error) {
      if (!(error instanceof Throttled) || set === undefined || listed === undefined) throw error
      if (now() >= warnedUntil)
        log.warn({ err: error }, 'what is known of the scale set has to do for a while')
      warnedUntil = now() + (error.retryAfterMs ?? 0)
      return false
    }
  }

  async function readSet(): Promise<ScaleSet> {
    const found = await arm.get()
    const { sku, etag, orchestrationMode, provisioningState, virtualMachineProfile } = found
    if (set === undefined) warnOf(found)
    const { name, tier, capacity = 0 } = sku ?? {}
    const isOurs = set?.capacity === capacity || (removed && capacity === removed.of - removed.count)
    // Whoever asked for it may know of ghosts that we don't.
    if (!isOurs) ghosts = undefined
    // It has followed: the same number later is another goal.
    if (capacity !== removed?.of) removed = undefined
    const working = !/^(succeeded|failed|canceled)$/i.test(provisioningState ?? '')
    const spot = virtualMachineProfile?.priority === 'Spot'
    const orchestration = orchestrationOf(orchestrationMode)
    const most = found.singlePlacementGroup === true ? mostOfGroup : mostOfSet
    set = { capacity, most, sku: { name, tier }, etag, working, spot, orchestration, at: now() }
    return set
  }

  /** What makes machines that nobody asked for: they look like a size that somebody set. */
  function warnOf({ overprovision, spotRestorePolicy }: VirtualMachineScaleSet) {
    if (overprovision === true)
      log.warn('the scale set overprovisions: turn that off (--disable-overprovision)')
    if (spotRestorePolicy?.enabled === true)
      log.warn(
        'the scale set restores evicted machines by itself: turn that off (--enable-spot-restore false)',
      )
  }

  async function readMachines({ pages: read, budget }: Orchestration) {
    const vms: AzureVm[] = []
    let pages = 0
    for await (const page of read(arm)) {
      if (pages++ > 0) budgets[budget].spend()
      vms.push(...page)
    }
    const before = listed?.machines ?? new Map<string, Machine>()
    const machines = machinesOf(vms, before, now())
    listed = { machines, at: now() }
    const gone = [...before.keys()].filter((name) => !machines.has(name))
    const lost = gone.filter((name) => !going.has(name))
    if (lost.length > 0)
      log.info({ instances: lost }, 'gone without our doing: evicted, or removed by somebody')
    for (const [name, at] of going) if (!machines.has(name) || now() - at > stillThereMs) going.delete(name)
  }

  function seen({ name, state, since }: Machine): FleetInstance {
    if (state === 'evicted') return { name, state: 'leaving', since }
    const askedAt = going.get(name)
    if (askedAt === undefined || state === 'leaving') return { name, state, since }
    return { name, state: 'leaving', since: askedAt }
  }

  /** There, and nothing that goes by itself. */
  const mayGo = (machine: Machine) => machine.state !== 'leaving' && !isGoing(machine)
  const isGoing = ({ name }: Machine) => going.has(name)
  const isStuck = ({ name, state, since }: Machine) => {
    const at = state === 'leaving' ? since : going.get(name)
    return at !== undefined && now() - at > stuckMs
  }
  const evicted = () =>
    [...(listed?.machines.values() ?? [])].filter((each) => each.state === 'evicted' && mayGo(each))

  /** How many there are to be, of which Azure's word is only the goal. */
  function coming({ capacity, working, orchestration }: ScaleSet, instances: FleetInstance[]) {
    // It takes a moment until the goal is without those that were removed: they are not to be waited for.
    const lags = removed !== undefined && removed.of === capacity && now() - removed.at < goalLagsMs
    const gone = evicted().length + (lags ? (removed?.count ?? 0) : 0) + (ghosts ?? 0)
    const goal = Math.max(0, capacity - gone)
    // Azure gives up on those that it has no room for, and the goal stays.
    const standing = Math.min(goal, instances.filter(({ state }) => state !== 'leaving').length)
    if (orchestration.makesWhatIsMissing) return { capacity: working ? goal : standing }
    if (working && ghosts !== undefined) return { capacity: goal }
    // They may be ghosts, or not listed yet.
    const guessed = working || (shortSince !== undefined && !isOver(orchestration))
    return { capacity: standing, guessed }
  }

  return {
    look,
    readSet,
    /** Azure has stopped short of its goal, and not only now: it is to be told once more. */
    isShort: () => set?.orchestration.makesWhatIsMissing === true && isOver(set.orchestration),
    /** How many of the goal will never be there: to be added to the next one. */
    ghosts: () => ghosts ?? 0,
    isEmpty: () => listed?.machines.size === 0,
    /** Azure has taken a new goal. */
    grows(capacity: number) {
      if (capacity < (set?.capacity ?? 0)) ghosts = undefined
      if (set !== undefined) set = { ...set, capacity, working: true }
      shortSince = undefined
    },
    evicted,
    isListed: (name: string) => listed?.machines.has(name) ?? false,
    /** Of these, the ones that are there and not on their way out. */
    present: (names: string[]): Machine[] =>
      names.flatMap((name) => {
        const machine = listed?.machines.get(name)
        return machine !== undefined && mayGo(machine) ? [machine] : []
      }),
    goes(names: string[]) {
      for (const name of names) going.set(name, now())
      const of = set?.capacity ?? 0
      removed = { of, count: names.length + (removed?.of === of ? removed.count : 0), at: now() }
    },
    stays(names: string[]) {
      for (const name of names) going.delete(name)
      removed = undefined
    },
  }
}
