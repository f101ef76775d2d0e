import { randomUUID } from 'node:crypto'
import type { Redis } from 'ioredis'
import { machineKey } from '../shared/worker-registry.ts'

/**
 * The workers of one machine, one for each GPU: it ends for all of them at once, and may end as soon as Azure is told that
 * it may. So the last one out tells.
 *
 *   <prefix>:machine:<name>  sorted set: worker → until when it counts as there
 */
export function createMachineMates(redis: Redis, prefix: string) {
  const me = randomUUID()
  const key = (machine: string) => machineKey(prefix, machine)
  let left = false
  return {
    /** This worker is there; to be said again within the minute. Says nothing once it has left. */
    async stay(machine: string): Promise<void> {
      // Where Redis is away nothing is to be queued up for it.
      if (left || redis.status !== 'ready') return
      await redis
        .multi()
        .zadd(key(machine), Date.now() + staysMs, me)
        .pexpire(key(machine), staysMs)
        .exec()
    },
    /** This worker is empty; answers whether it was the last one of the machine. */
    async leave(machine: string): Promise<boolean> {
      left = true
      if (redis.status !== 'ready') return true
      await redis.zrem(key(machine), me)
      return (await redis.zcount(key(machine), Date.now(), '+inf')) === 0
    },
  }
}

const staysMs = 60_000
