import type { Redis } from 'ioredis'
import { fleetViewKey, readFleetView } from '../shared/fleet-view.ts'
import type { FleetView } from '../shared/fleet.ts'
import { redact } from '../shared/redact.ts'

const viewMs = 60_000
const mostDecisions = 20

/** What the last turn saw and did, for people to read. */
export function createFleetView(redis: Redis, prefix: string) {
  const write = async (seen: FleetView) => {
    const known = (await readFleetView(redis, prefix).catch(() => null))?.decisions ?? []
    const { at, target, why } = seen
    const decisions = known.at(-1)?.target === target ? known : [...known, { at, target, why }]
    const view = { ...seen, decisions: decisions.slice(-mostDecisions) }
    await redis.set(fleetViewKey(prefix), JSON.stringify(view), 'PX', viewMs)
  }

  return {
    write,
    /** A turn failed: why, beside what was last seen of the fleet. */
    async writeBlind(fleet: string, startSeconds: number, error: unknown): Promise<void> {
      const known = await readFleetView(redis, prefix).catch(() => null)
      await write({
        ...{ instances: 0, target: 0, why: 'nothing is known of the fleet', demandSeconds: 0, startSeconds },
        ...{ byHand: null, ...known, fleet },
        at: new Date().toISOString(),
        error: redact(error instanceof Error ? error.message : String(error)),
      })
    },
  }
}
