import { Redis } from 'ioredis'
import type { Logger } from './log.ts'

/**
 * A connection to Redis that outlives Redis: commands wait while it is away, connecting is tried for ever with
 * back-off up to 5 s. `blocking` is for BullMQ's workers, which need commands that never give up.
 */
export function connectRedis(url: string, log: Logger, { name }: { name: string }): Redis {
  const redis = new Redis(url, {
    connectionName: name,
    maxRetriesPerRequest: null,
    enableReadyCheck: true,
    retryStrategy: (times) => Math.min(5_000, 100 * 2 ** Math.min(times, 6)),
  })
  let away = false
  redis.on('error', (error: Error) => {
    if (!away) log.warn({ err: error.message }, 'redis is away; waiting for it')
    away = true
  })
  redis.on('ready', () => {
    if (away) log.info('redis is back')
    away = false
  })
  return redis
}
