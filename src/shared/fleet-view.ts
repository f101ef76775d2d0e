import type { Redis } from 'ioredis'
import { FleetView } from './fleet.ts'

/** Holds JSON, for a minute: what the autoscaler's last turn saw and did. */
export const fleetViewKey = (prefix: string) => `${prefix}:fleet:view`

/** Null where no autoscaler has been at work for a minute; what can't be read is as good as nothing. */
export async function readFleetView(redis: Redis, prefix: string): Promise<FleetView | null> {
  const text = await redis.get(fleetViewKey(prefix))
  try {
    return FleetView.safeParse(JSON.parse(text ?? 'null')).data ?? null
  } catch {
    return null
  }
}
