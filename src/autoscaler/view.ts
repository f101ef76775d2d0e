import type { Redis } from 'ioredis'
import { FleetView } from '../shared/fleet.ts'
import { redact } from '../shared/redact.ts'

const viewMs = 60_000

/**
 * What the last turn saw and did, for people to read.
 *
 *   <prefix>:fleet:view   JSON, for a minute
 */
export function createFleetView(redis: Redis, prefix: string) {
  const key = `${prefix}:fleet:view`
  const write = async (view: FleetView) => {
    await redis.set(key, JSON.stringify(view), 'PX', viewMs)
  }

  async function read(): Promise<FleetView | undefined> {
    try {
      return FleetView.safeParse(JSON.parse((await redis.get(key)) ?? 'null')).data
    } catch {
      return undefined
    }
  }

  return {
    write,
    /** The fleet could not be looked at: why, beside what was last seen of it. */
    async writeBlind(fleet: string, startSeconds: number, error: unknown): Promise<void> {
      const known = await read()
      await write({
        ...{ instances: 0, target: 0, why: 'nothing is known of the fleet', demandSeconds: 0, startSeconds },
        ...{ byHand: null, ...known, fleet },
        at: new Date().toISOString(),
        error: redact(error instanceof Error ? error.message : String(error)),
      })
    },
  }
}
