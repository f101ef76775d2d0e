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
  /** Removes, or else grows: what the fleet says of its size is only true again once what was removed is gone. */
  return async (
    { remove, capacity, growth, most, now }: Wanted,
    next: Memory,
    signal: AbortSignal,
  ): Promise<{ removed: number; grown: number }> => {
    const names = await stillHeld(remove.filter((name) => name !== unlisted))
    const done = { removed: 0, grown: 0 }
    if (signal.aborted || Date.now() - now > staleMs) return done
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
    next.asked = Math.max(next.asked, to)
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

  /** Of these, the ones on which no worker could claim anything at this very moment: a wipe of Redis recalls them all. */
  async function stillHeld(names: string[]): Promise<string[]> {
    if (names.length === 0) return []
    const workers = await registry.list()
    const free = new Set(workers.filter(({ state }) => state !== 'held').map(({ instance }) => instance))
    return names.filter((name) => !free.has(name))
  }
}

function note(error: unknown, next: Memory): void {
  next.error = redact((error as Error).message)
}
