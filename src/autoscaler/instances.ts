import type { WorkerRecord } from '../shared/fleet.ts'
import type { FleetInstance } from './fleet.ts'
import type { Instance } from './policy.ts'

type Seen = {
  /** In ms. */
  now: number
  instances: FleetInstance[]
  /** How many the fleet is to have: those that are not listed yet are on their way. */
  capacity: number
  workers: WorkerRecord[]
  held: string[]
  /** Since when nothing is heard of an instance, in ms. */
  silent: Record<string, number>
  /** When somebody last looked, in ms. */
  lookedAt: number | undefined
}

/** What an instance that is on its way is called: there is nothing yet that could be asked or removed. */
export const unlisted = ''
/** What takes longer to go will not go by itself. */
const leavingMs = 600_000

/**
 * What the fleet says of its instances and what their workers say of themselves, as one. Pure. Answers, too, of whom
 * nothing is heard, and how long those took, in seconds, that are heard for the first time.
 *
 *   starting   no worker says anything: not yet, or not any more
 *   draining   to be held, and not all of its workers say yet that they are; or none says anything any more: failed after a while
 *   leaving    the fleet or a worker says so
 */
export function joinInstances(seen: Seen): {
  instances: Instance[]
  silent: Record<string, number>
  starts: number[]
} {
  const { now, lookedAt } = seen
  const workersOf = Map.groupBy(seen.workers, ({ instance }) => instance)
  const held = new Set(seen.held)
  const silent: Record<string, number> = {}
  const starts: number[] = []
  const instances = seen.instances.map((each): Instance => {
    const { name, state, since } = each
    const workers = workersOf.get(name) ?? []
    if (state === 'failed') return { name, state, since: since / 1_000 }
    if (state === 'leaving') {
      const state = now - since > leavingMs ? 'failed' : 'leaving'
      return { name, state, since: since / 1_000 }
    }
    const isNew = lookedAt !== undefined && since > lookedAt
    if (workers.length === 0) {
      // One that fell silent, or of which nobody knows since when, has all the time that a new one has.
      silent[name] = seen.silent[name] ?? (isNew ? since : now)
      const isOver = held.has(name) && now - silent[name] > leavingMs
      const state = isOver ? 'failed' : held.has(name) ? 'draining' : 'starting'
      return { name, state, since: silent[name] / 1_000 }
    }
    if (isNew || seen.silent[name] === since) starts.push(Math.max(0, readyAt(workers, now) - since) / 1_000)
    return {
      name,
      state: stateOf(workers, held.has(name)),
      since: Math.max(...workers.map((worker) => worker.since)) / 1_000,
    }
  })
  const listed = seen.instances.filter(({ state }) => state !== 'leaving').length
  const coming = Array.from({ length: Math.max(0, seen.capacity - listed) }, (): Instance => {
    return { name: unlisted, state: 'starting', since: now / 1_000 }
  })
  return { instances: [...instances, ...coming], silent, starts }
}

function stateOf(workers: WorkerRecord[], isHeld: boolean): Instance['state'] {
  if (workers.some(({ leaving }) => leaving !== null)) return 'leaving'
  // One that was called back may not have heard it yet: what it says of itself is not to be believed.
  if (isHeld) return workers.every(({ state }) => state === 'held') ? 'held' : 'draining'
  return workers.some(({ state }) => state === 'busy' || state === 'draining') ? 'busy' : 'idle'
}

/** When the first of the workers took work, or could have. */
function readyAt(workers: WorkerRecord[], now: number): number {
  const first = workers.filter(({ state, batches }) => state === 'idle' && batches === 0)
  return first.length > 0 ? Math.min(...first.map(({ since }) => since)) : now
}
