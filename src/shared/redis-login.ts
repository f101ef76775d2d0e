import type { TokenCredential } from '@azure/identity'
import { decodeJwt } from 'jose'
import { TransientError } from './errors.ts'
import type { Logger } from './log.ts'

/** The object id of our identity, and its token, which Redis takes as a password until it expires. */
export type Login = { user: string; token: string; expires: number }

export type RedisLogins = ReturnType<typeof createRedisLogins>

const scope = 'https://redis.azure.com/.default'
const renewAfter = 0.7
const leastMs = 1_000
const mostMs = 30_000
const sameAgainMs = 60_000

/**
 * The token by which a process shows Redis who it is: one for all its connections.
 *
 *   none ──asked for──► held ──70 % of its life are over──► renewing ──► held, and everybody is told
 *     ▲                  │                                     └─ not to be had: again, up to 30 s later; what is held goes on
 *     └── Redis refused ─┘
 */
export function createRedisLogins(credential: TokenCredential, log: Logger) {
  let held: (Login & { renewAt: number }) | undefined
  let asking: Promise<Login> | undefined
  let timer: NodeJS.Timeout | undefined
  let failures = 0
  const listeners = new Set<(login: Login) => void>()

  function ask(): Promise<Login> {
    asking ??= renew().finally(() => {
      asking = undefined
    })
    return asking
  }

  async function renew(): Promise<Login> {
    try {
      const login = await fetchLogin(credential)
      const life = login.expires - Date.now()
      const isNew = login.token !== held?.token
      // Not all processes of a fleet at once. Azure's library may hand the old one out while it fetches the next.
      const inTime = life * renewAfter * (1 - Math.random() / 10)
      const wait = Math.max(leastMs, isNew ? inTime : Math.min(inTime, sameAgainMs))
      held = { ...login, renewAt: Date.now() + wait }
      again(wait)
      if (failures > 0) log.info('there are tokens for Redis again')
      failures = 0
      if (isNew) for (const listener of listeners) listener(login)
      return login
    } catch (error) {
      again(Math.min(mostMs, leastMs * 2 ** failures) * (1 - Math.random() / 4))
      if (failures++ === 0) log.warn({ err: (error as Error).message }, 'no token for Redis; asking on')
      throw error
    }
  }

  function again(ms: number): void {
    clearTimeout(timer)
    if (listeners.size === 0) return
    timer = setTimeout(() => {
      ask().catch(() => {})
    }, ms)
    timer.unref()
  }

  return {
    /** One that Redis should take. Throws TransientError when there is none to be had. */
    async login(): Promise<Login> {
      const kept = held
      if (kept && Date.now() < kept.renewAt) return kept
      try {
        return await ask()
      } catch (error) {
        // It is old, but as good as it was.
        if (kept && kept === held && Date.now() < kept.expires) return kept
        throw error
      }
    },
    /** Redis did not take it: the next one who asks gets another, if there is another. */
    refused({ token }: Login): void {
      if (held?.token === token) held = undefined
    },
    /** Tells of every new one, until what it answers is called. */
    onRenewed(listener: (login: Login) => void): () => void {
      listeners.add(listener)
      if (held) again(Math.max(0, held.renewAt - Date.now()))
      return () => {
        listeners.delete(listener)
        if (listeners.size === 0) clearTimeout(timer)
      }
    },
    newest: (): Login | undefined => held,
  }
}

async function fetchLogin(credential: TokenCredential): Promise<Login> {
  const answer = await credential.getToken(scope)
  if (!answer) throw new TransientError('Azure gives this process no token for Redis.')
  const { token, expiresOnTimestamp: expires } = answer
  if (expires <= Date.now())
    throw new TransientError('The token that Azure gave for Redis has expired already: is the clock right?')
  return { user: userOf(token), token, expires }
}

/** Redis knows identities by their object id. */
function userOf(token: string): string {
  let user: unknown
  try {
    user = decodeJwt(token)['oid']
  } catch {
    // Said below, without a word of the token.
  }
  if (typeof user === 'string' && user !== '') return user
  throw new TransientError('The token that Azure gave for Redis names no object id (oid).')
}
