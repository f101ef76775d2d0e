import { redact } from '../shared/redact.ts'
import type { WorkerRegistry } from '../shared/worker-registry.ts'
import { type Fleet, FleetRefusal } from './fleet.ts'
import { unlisted } from './instances.ts'
import type { Memory, createMemory } from './memory.ts'

type ActDeps = {
  fleet: Fleet
  registry: Pick<WorkerRegistry, 'list'>
  memories: Pick<ReturnType<typeof createMemory>, 'write'>
}

type Wanted = {
  remove: string[]
  /** Those of them that have not failed but are empty, as their workers say. */
  held: string[]
  /** How many the fleet has, how many more there are to be, and the most it may have. */
  capacity: number
  growth: number
  most: number
  /** When all this was seen, in ms. */
  now: number
}

/** What was seen longer ago is not acted upon: somebody else may have had a turn since. */
const staleMs = 10_000
/** After a failure at the fleet that says nothing of when to try again. */
const retryMs = 30_000

/** Does at the fleet what was decided, and notes in `next` what came of it. */
export function createActs({ fleet, registry, memories }: ActDeps) {
  /**
   * Removes, or else grows: what the fleet says of its size is only true again once what was removed is gone. One that will
   * not go, and can't be asked again, holds up nobody.
   */
  return async (
    { remove, held, capacity, growth, most, now }: Wanted,
    next: Memory,
    signal: AbortSignal,
  ): Promise<{ removed: number; grown: number }> => {
    const names = await removable(
      remove.filter((name) => name !== unlisted),
      new Set(held),
    )
    const done = { removed: 0, grown: 0 }
    if (signal.aborted || Date.now() - now > staleMs) return done
    let removal: string | undefined
    try {
      if (names.length > 0) {
        const removed = (await fleet.remove(names, signal)).length
        next.loose += removed
        if (removed > 0) return { ...done, removed }
      }
    } catch (error) {
      removal = sentenceOf(error)
    }
    // Why growth waits is said for as long as it does.
    next.error ??= removal ?? null
    const to = Math.min(capacity + growth, most)
    if (to <= capacity) return done
    // Said before it is done: whoever comes after us must not take it for somebody's hand.
    next.asked = Math.max(next.asked, to)
    next.loose += to - capacity
    await memories.write(next)
    try {
      const isAsked = await fleet.grow(to, signal)
      next.error = removal ?? null
      return { ...done, grown: isAsked ? to - capacity : 0 }
    } catch (error) {
      next.error = [removal, sentenceOf(error)].filter(Boolean).join(' ')
      next.growthBlockedUntil = Date.now() + (error instanceof FleetRefusal ? error.retryAfterMs : retryMs)
      return done
    }
  }

  /**
   * Of these, the ones on which no worker could claim anything at this very moment. A wipe of Redis recalls all that are held,
   * and may have taken what their workers said: silence is then no sign of being empty.
   */
  async function removable(names: string[], held: Set<string>): Promise<string[]> {
    if (names.length === 0) return []
    const workersOf = Map.groupBy(await registry.list(), ({ instance }) => instance)
    return names.filter((name) => {
      const workers = workersOf.get(name) ?? []
      return workers.every(({ state }) => state === 'held') && (workers.length > 0 || !held.has(name))
    })
  }
}

const sentenceOf = (error: unknown) => redact((error as Error).message)
