import { Redis, type RedisOptions } from 'ioredis'
import { azureCredential } from './identity.ts'
import type { Logger } from './log.ts'
import { openEntraRedis } from './redis-entra.ts'
import { type RedisLogins, createRedisLogins } from './redis-login.ts'

export type RedisSettings = { FRAMEFLEET_REDIS_URL: string; FRAMEFLEET_REDIS_AUTH: 'url' | 'entra' }

type Options = {
  name: string
  patient?: boolean
  /** Silence after which the connection is given up. */ deadAfterMs?: number
}

/**
 * A connection to Redis that outlives Redis: connecting is tried for ever with back-off up to 5 s. Commands wait while
 * it is away; with `patient: false` they fail within seconds instead. By `entra` it is our identity that Redis knows, and a
 * token that can't be had is a Redis that is away.
 */
export function connectRedis(
  { FRAMEFLEET_REDIS_URL: url, FRAMEFLEET_REDIS_AUTH: auth }: RedisSettings,
  log: Logger,
  { name, patient = true, deadAfterMs = 30_000 }: Options,
): Redis {
  const options: RedisOptions = {
    connectionName: name,
    // A machine that vanishes closes nothing, and the kernel would wait for it for a quarter of an hour. Longer than any
    // command of BullMQ that waits.
    socketTimeout: deadAfterMs,
    ...(patient ? { maxRetriesPerRequest: null } : { maxRetriesPerRequest: 1, commandTimeout: 5_000 }),
    retryStrategy: (times) => Math.min(5_000, 100 * 2 ** Math.min(times, 6)),
  }
  const redis =
    auth === 'entra'
      ? openEntraRedis({ ...options, ...placeOf(url) }, redisLogins(log))
      : new Redis(url, options)
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

let logins: RedisLogins | undefined

function redisLogins(log: Logger): RedisLogins {
  logins ??= createRedisLogins(azureCredential(), log)
  return logins
}

/** Where a Redis is that knows us by a token. Throws for one that the token would be sent to for everybody to read. */
function placeOf(url: string): RedisOptions {
  const { protocol, hostname, port, pathname, username, password } = new URL(url)
  if (username !== '' || password !== '')
    throw new Error('FRAMEFLEET_REDIS_URL has a password, and FRAMEFLEET_REDIS_AUTH is entra: take it out.')
  const isOwn = /^(?:localhost|127\.[\d.]+|\[::1\])$/.test(hostname)
  if (protocol !== 'rediss:' && !isOwn)
    throw new Error('FRAMEFLEET_REDIS_AUTH is entra: FRAMEFLEET_REDIS_URL must begin with rediss://.')
  return {
    host: hostname.replaceAll(/^\[|\]$/g, ''),
    ...(port === '' ? {} : { port: Number(port) }),
    db: Number(pathname.slice(1) || 0),
    ...(protocol === 'rediss:' ? { tls: {} } : {}),
  }
}
