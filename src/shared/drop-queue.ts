import type { Queue } from 'bullmq'
import type { Redis } from 'ioredis'

const keysAtOnce = 1_000

/** Removes all that a queue has in Redis, of whatever type its keys are: obliterate() fails where one is not what it should be. */
export async function dropQueue(redis: Redis, queue: Pick<Queue, 'toKey'>): Promise<void> {
  let cursor = '0'
  do {
    const [next, keys] = await redis.scan(cursor, 'MATCH', queue.toKey('*'), 'COUNT', keysAtOnce)
    if (keys.length > 0) await redis.unlink(...keys)
    cursor = next
  } while (cursor !== '0')
}
