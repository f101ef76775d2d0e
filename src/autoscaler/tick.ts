import type { Redis } from 'ioredis'
import type { FleetSettingsStore } from '../shared/fleet-settings.ts'
import type { FleetSettings, FleetView } from '../shared/fleet.ts'
import type { Logger } from '../shared/log.ts'
import type { WorkerRegistry } from '../shared/worker-registry.ts'
import { createActs } from './act.ts'
import { type DemandDeps, readDemand } from './demand.ts'
import type { Fleet, FleetInstance } from './fleet.ts'
import { joinInstances } from './instances.ts'
import {
  type Memory,
  createMemory,
  nothingKnown,
  pausedByFailures,
  sizeByHand,
  sizeSeen,
  withFailures,
  withStarts,
  withinReach,
} from './memory.ts'
import type { FleetMetrics } from './metrics.ts'
import { type Decision, type Instance, type Snapshot, decide, present } from './policy.ts'
import { createFleetView } from './view.ts'

/** A few turns of whoever puts open jobs back. */
const settleMs = 90_000
/** As many as are started for models that nobody has measured yet: enough to measure them soon, few enough to be wrong about. */
const mostByGuess = 4

export type TickDeps = {
  redis: Redis
  prefix: string
  fleet: Fleet
  settings: Pick<FleetSettingsStore, 'read'>
  registry: WorkerRegistry
  demand: DemandDeps
  metrics: FleetMetrics
  log: Logger
  backlogSeconds: number
  /** Until one was measured. */
  startSeconds: number
  workersPerInstance: number
  /** How much of the fleet one client's work may ask for. */
  clientShare: number
  handSizeMs: number
}

/**
 * One turn of an autoscaler: look, decide, act, and say what was done. Safe to do twice and by several; what it goes by it
 * reads anew each time. Throws what kept it from its end, which is in the view then.
 */
export function createTick(deps: TickDeps) {
  const { redis, prefix, fleet, settings, registry, metrics, log } = deps
  const memories = createMemory(redis, prefix)
  const views = createFleetView(redis, prefix)
  const act = createActs({ fleet, registry, memories })
  let lastSet: FleetSettings | undefined

  /** What people set; what was read last, while storage is away. */
  async function readSettings(): Promise<FleetSettings> {
    try {
      lastSet = await settings.read()
    } catch (error) {
      if (!lastSet) throw error
    }
    return lastSet
  }

  async function turn(signal: AbortSignal): Promise<FleetView> {
    const [remembered, wanted, seen] = await Promise.all([
      memories.read(),
      readSettings(),
      fleet.look(signal),
    ])
    // After the fleet, which may take its time: what workers say changes faster.
    const [workers, held] = await Promise.all([registry.list(), registry.held()])
    const now = Date.now()
    const memory = remembered && withinReach(remembered, { now, settleMs, keepMs: deps.handSizeMs })
    const { instances, silent, starts } = joinInstances({
      ...{ now, ...seen, workers, held },
      ...{ silent: memory?.silent ?? {}, lookedAt: memory?.lookedAt },
    })
    const startSeconds = withStarts(memory?.startSeconds ?? null, starts)
    const byHand =
      fleet.kind === 'local'
        ? null
        : sizeByHand(memory, { now, ...seen, settings: wanted, keepMs: deps.handSizeMs })
    const limits: FleetSettings = { ...wanted, size: wanted.size ?? byHand?.size ?? null }
    const healthy = instances.filter(({ state }) => state === 'idle' || state === 'busy').length
    const blockedUntil = Math.max(
      memory?.growthBlockedUntil ?? 0,
      pausedByFailures(memory?.failures ?? {}, healthy),
    )
    const { clientShare, workersPerInstance, backlogSeconds } = deps
    const { inLineSeconds, ...demanded } = await readDemand(deps.demand, {
      mostOfClient:
        clientShare < 1 ? clientShare * wanted.max * workersPerInstance * backlogSeconds : Infinity,
      mostGuessed: mostByGuess * workersPerInstance * backlogSeconds,
      ...{ now, workers },
    })
    const snapshot: Snapshot = {
      now: now / 1_000,
      ...{ ...demanded, instances, limits, workersPerInstance, backlogSeconds },
      startSeconds: startSeconds ?? deps.startSeconds,
      growthBlockedUntil: blockedUntil / 1_000,
    }
    const decision = decide(snapshot)
    const growth = decision.grow - present(snapshot)
    // Machines that nobody remembers: Redis was wiped, and their work with it. They will be needed again.
    const holdAfter = memory?.holdAfter ?? (seen.instances.length > 0 ? now + settleMs : 0)
    const hold = now < holdAfter ? [] : decision.hold
    const next: Memory = {
      ...nothingKnown,
      ...memory,
      ...sizeSeen(memory, seen),
      lookedAt: now,
      loose: instances.filter(isLoose).length,
      ...{ byHand, silent, startSeconds, holdAfter },
      failures: withFailures(memory?.failures ?? {}, failedOf(seen.instances, instances, decision), now),
      error: blockedUntil > now ? (memory?.error ?? null) : null,
    }
    if (byHand && byHand.until !== memory?.byHand?.until)
      log.info({ size: byHand.size }, 'the size of the fleet was set by hand: it is kept for a while')

    const gone = held.filter((name) => !seen.instances.some((each) => each.name === name))
    await registry.recall([...decision.recall, ...gone])
    await registry.hold(hold)
    // What is about to be taken away counts for the fleet, but not for us.
    const leaving = instances.filter(({ state }) => state === 'leaving').length
    const room = { capacity: seen.capacity, growth, most: limits.max + leaving }
    const empty = instances.filter(({ state }) => state === 'held').map(({ name }) => name)
    const done = await act({ ...room, remove: decision.remove, held: empty, now }, next, signal)
    await memories.write(next)

    const view: FleetView = {
      at: new Date(now).toISOString(),
      fleet: fleet.kind,
      instances: instances.filter(({ state }) => state !== 'leaving' && state !== 'failed').length,
      target: decision.target,
      why: decision.why,
      demandSeconds: inLineSeconds,
      startSeconds: snapshot.startSeconds,
      byHand: byHand && { size: byHand.size, until: new Date(byHand.until).toISOString() },
      error: next.error,
    }
    await views.write(view)
    metrics.note(view, instances, wanted)
    const counts = Object.entries({ hold: hold.length, recall: decision.recall.length, ...done })
    const acted = counts.filter(([, count]) => count > 0)
    if (acted.length > 0 || (next.error && next.error !== memory?.error)) {
      const { instances, target, why, error } = view
      log.info({ instances, target, why, ...Object.fromEntries(acted), ...(error ? { error } : {}) }, 'fleet')
    }
    return view
  }

  return async (signal: AbortSignal): Promise<FleetView> => {
    try {
      return await turn(signal)
    } catch (error) {
      metrics.failed.inc()
      // Whoever leaves, or has lost its turn to somebody else, does not know better than those who stay.
      const isOurs = !signal.aborted || isLate(signal)
      // Without Redis there is no view either: what is thrown says more.
      if (isOurs) await views.writeBlind(fleet.kind, deps.startSeconds, error).catch(() => {})
      throw error
    }
  }
}

const isLate = ({ reason }: AbortSignal) => (reason as Error | undefined)?.name === 'TimeoutError'

/** Whether it may be gone at the next look without anybody's doing. */
const isLoose = ({ state }: Instance) => ['starting', 'leaving', 'failed'].includes(state)

/** Those that are removed because they failed, or never came; not those that were going anyway, and are long about it. */
function failedOf(seen: FleetInstance[], instances: Instance[], { remove }: Decision): string[] {
  const leaving = new Set(seen.filter(({ state }) => state === 'leaving').map(({ name }) => name))
  const going = new Set(remove.filter((name) => !leaving.has(name)))
  return instances
    .filter(({ name, state }) => going.has(name) && (state === 'failed' || state === 'starting'))
    .map(({ name }) => name)
}
