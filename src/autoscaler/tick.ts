import type { Redis } from 'ioredis'
import type { FleetSettingsStore } from '../shared/fleet-settings.ts'
import type { FleetSettings, FleetView } from '../shared/fleet.ts'
import type { Logger } from '../shared/log.ts'
import { redact } from '../shared/redact.ts'
import type { WorkerRegistry } from '../shared/worker-registry.ts'
import { type DemandDeps, readDemand } from './demand.ts'
import { type Fleet, FleetRefusal } from './fleet.ts'
import { joinInstances, unlisted } from './instances.ts'
import {
  type Memory,
  createMemory,
  nothingKnown,
  pausedByFailures,
  sizeByHand,
  withFailures,
  withStarts,
} from './memory.ts'
import type { FleetMetrics } from './metrics.ts'
import { type Decision, type Instance, type Snapshot, decide, present } from './policy.ts'
import { createFleetView } from './view.ts'

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

/** What was seen longer ago is not acted upon: somebody else may have had a turn since. */
const staleMs = 10_000
/** After a failure at the fleet that says nothing of when to try again. */
const retryMs = 30_000

/**
 * One turn of an autoscaler: look, decide, act, and say what was done. Safe to do twice and by several; what it goes by it
 * reads anew each time. Throws what keeps it from looking.
 */
export function createTick(deps: TickDeps) {
  const { redis, prefix, fleet, settings, registry, metrics, log } = deps
  const memories = createMemory(redis, prefix)
  const views = createFleetView(redis, prefix)

  async function look(signal: AbortSignal) {
    try {
      return await fleet.look(signal)
    } catch (error) {
      if (!signal.aborted) await views.writeBlind(fleet.kind, deps.startSeconds, error)
      throw error
    }
  }

  return async (signal: AbortSignal): Promise<FleetView> => {
    const began = Date.now()
    const [memory, wanted, seen, workers, held] = await Promise.all([
      memories.read(),
      settings.read(),
      look(signal),
      registry.list(),
      registry.held(),
    ])
    const now = Date.now()
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
    const snapshot: Snapshot = {
      now: now / 1_000,
      ...(await readDemand(deps.demand, {
        mostOfClient:
          deps.clientShare * wanted.max * deps.workersPerInstance * deps.backlogSeconds || Infinity,
        now,
      })),
      ...{ instances, limits, workersPerInstance: deps.workersPerInstance },
      ...{ startSeconds: startSeconds ?? deps.startSeconds, backlogSeconds: deps.backlogSeconds },
      growthBlockedUntil: blockedUntil / 1_000,
    }
    const decision = decide(snapshot)
    const growth = decision.grow - present(snapshot)
    const next: Memory = {
      ...nothingKnown,
      ...memory,
      ...{ lookedAt: now, capacity: seen.capacity, asked: seen.capacity },
      loose: instances.filter(isLoose).length,
      ...{ byHand, silent, startSeconds },
      failures: withFailures(memory?.failures ?? {}, failedOf(instances, decision), now),
      error: blockedUntil > now ? (memory?.error ?? null) : null,
    }
    if (byHand && byHand.until !== memory?.byHand?.until)
      log.info({ size: byHand.size }, 'the size of the fleet was set by hand: it is kept for a while')

    const gone = held.filter((name) => !seen.instances.some((each) => each.name === name))
    await registry.recall([...decision.recall, ...gone])
    await registry.hold(decision.hold)
    // What is about to be taken away counts for the fleet, but not for us.
    const leaving = instances.filter(({ state }) => state === 'leaving').length
    const room = { capacity: seen.capacity, growth, most: limits.max + leaving }
    const done = await act(decision, room, next, { began, signal })
    await memories.write(next)

    const view: FleetView = {
      at: new Date(now).toISOString(),
      fleet: fleet.kind,
      instances: instances.filter(({ state }) => state !== 'leaving' && state !== 'failed').length,
      target: decision.target,
      why: decision.why,
      demandSeconds: snapshot.demand.workSeconds,
      startSeconds: snapshot.startSeconds,
      byHand: byHand && { size: byHand.size, until: new Date(byHand.until).toISOString() },
      error: next.error,
    }
    await views.write(view)
    metrics.note(view, instances)
    const { hold, recall } = decision
    const counts = Object.entries({ hold: hold.length, recall: recall.length, ...done })
    const acted = counts.filter(([, count]) => count > 0)
    if (acted.length > 0 || (next.error && next.error !== memory?.error)) {
      const { instances, target, why, error } = view
      log.info({ instances, target, why, ...Object.fromEntries(acted), ...(error ? { error } : {}) }, 'fleet')
    }
    return view
  }

  /** Removes, or else grows: what the fleet says of its size is only true again once what was removed is gone. */
  async function act(
    { remove }: Decision,
    { capacity, growth, most }: { capacity: number; growth: number; most: number },
    next: Memory,
    { began, signal }: { began: number; signal: AbortSignal },
  ): Promise<{ removed: number; grown: number }> {
    const names = await stillEmpty(remove.filter((name) => name !== unlisted))
    const done = { removed: 0, grown: 0 }
    if (signal.aborted || Date.now() - began > staleMs) return done
    try {
      if (names.length > 0) {
        await fleet.remove(names, signal)
        next.loose += names.length
        return { ...done, removed: names.length }
      }
    } catch (error) {
      note(error, next)
    }
    const to = Math.min(capacity + growth, most)
    if (to <= capacity) return done
    // Said before it is done: whoever comes after us must not take it for somebody's hand.
    next.asked = to
    next.loose += to - capacity
    await memories.write(next)
    try {
      await fleet.grow(to, signal)
      next.error = null
      return { ...done, grown: to - capacity }
    } catch (error) {
      note(error, next)
      next.growthBlockedUntil = Date.now() + (error instanceof FleetRefusal ? error.retryAfterMs : retryMs)
      return done
    }
  }

  /** Of these, the ones that no worker works on at this very moment. */
  async function stillEmpty(names: string[]): Promise<string[]> {
    if (names.length === 0) return []
    const workers = await registry.list()
    const atWork = new Set(
      workers.filter(({ state }) => state === 'busy' || state === 'draining').map(({ instance }) => instance),
    )
    return names.filter((name) => !atWork.has(name))
  }
}

function note(error: unknown, next: Memory): void {
  next.error = redact((error as Error).message)
}

/** Whether it may be gone at the next look without anybody's doing. */
const isLoose = ({ state }: Instance) => ['starting', 'leaving', 'failed'].includes(state)

/** Those that are removed because they failed, or never came. */
function failedOf(instances: Instance[], { remove }: Decision): string[] {
  const going = new Set(remove)
  return instances
    .filter(({ name, state }) => going.has(name) && (state === 'failed' || state === 'starting'))
    .map(({ name }) => name)
}
