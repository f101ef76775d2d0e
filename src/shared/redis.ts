import { Redis } from 'ioredis'
import type { Logger } from './log.ts'

type Options = {
  name: string
  patient?: boolean
  /** Silence after which the connection is given up. */ deadAfterMs?: number
}

/**
 * A connection to Redis that outlives Redis: connecting is tried for ever with back-off up to 5 s. Commands wait while
 * it is away; with `patient: false` they fail within seconds instead.
 */
export function connectRedis(
  url: string,
  log: Logger,
  { name, patient = true, deadAfterMs = 30_000 }: Options,
): Redis {
  const redis = new Redis(url, {
    connectionName: name,
    // A machine that vanishes closes nothing, and the kernel would wait for it for a quarter of an hour. Longer than any
    // command of BullMQ that waits.
    socketTimeout: deadAfterMs,
    ...(patient ? { maxRetriesPerRequest: null } : { maxRetriesPerRequest: 1, commandTimeout: 5_000 }),
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
