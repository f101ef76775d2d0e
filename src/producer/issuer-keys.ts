import { type JWTVerifyGetKey, createRemoteJWKSet, customFetch } from 'jose'
import { z } from 'zod'
import type { Logger } from '../shared/log.ts'
import { sparingly } from '../shared/sparingly.ts'

/** Nobody can tell now whether a token of the issuer is good: not the token's fault. */
export class IssuerAway extends Error {
  override name = 'IssuerAway'
  readonly retryAfterSeconds = 5
}

export type KeyTimes = {
  /** For discovery and keys together. */
  answerWithinMs?: number
  /** After a failure nobody asks for so long. */
  silentMs?: number
  /** Before a key that is not known has them fetched again. */
  cooldownMs?: number
  /** From here on they are fetched again while those that are known serve. */
  staleMs?: number
  /** What was not fetched for so long is no longer trusted: a key may have been withdrawn. */
  oldestMs?: number
}

const Discovery = z.object({ issuer: z.string(), jwks_uri: z.url() })
const Keys = z.looseObject({ keys: z.array(z.looseObject({ kty: z.string() })) })
const mostBytes = 1 << 20

/**
 * The keys by which an issuer signs, found by OpenID discovery.
 *
 *   none ──first token──► fetched ──10 min──► stale: used, and fetched beside ──a day──► none
 *     └── no answer ──► silent for 5 s: IssuerAway at once
 *
 * A key that is not among them has them fetched again, at most every 30 s: keys rotate, and nobody may make us ask at will.
 * Throws IssuerAway where they can't be had, and jose's errors where the token names none of them.
 */
export function createIssuerKeys(issuer: string, log: Logger, times: KeyTimes = {}): JWTVerifyGetKey {
  const { silentMs = 5_000, staleMs = 600_000, oldestMs = 86_400_000 } = times
  const warn = sparingly<string>((err) => log.warn({ err, issuer }, 'no keys to check tokens by'), {
    most: 1,
    everyMs: 60_000,
  })
  let silentUntil = 0
  let fetchedAt = 0

  async function fetchKeys(_url: string, { signal }: { signal: AbortSignal }): Promise<Response> {
    if (performance.now() < silentUntil) throw new IssuerAway(`the issuer ${issuer} did not answer just now`)
    try {
      const found = Discovery.parse(await fetchJson(discoveryOf(issuer), signal))
      if (found.issuer !== issuer) throw new Error(`it calls itself ${found.issuer}`)
      if (new URL(found.jwks_uri).protocol !== new URL(issuer).protocol)
        throw new Error('its keys lie elsewhere')
      const keys = Keys.parse(await fetchJson(found.jwks_uri, signal))
      fetchedAt = performance.now()
      return Response.json(keys)
    } catch (error) {
      silentUntil = performance.now() + silentMs
      warn((error as Error).message)
      throw new IssuerAway(`the issuer ${issuer} gave no keys: ${(error as Error).message}`, { cause: error })
    }
  }

  const keys = createRemoteJWKSet(new URL(discoveryOf(issuer)), {
    timeoutDuration: times.answerWithinMs ?? 5_000,
    cooldownDuration: times.cooldownMs ?? 30_000,
    cacheMaxAge: oldestMs,
    [customFetch]: fetchKeys,
  })
  return async (header, token) => {
    const isStale = keys.fresh && performance.now() > fetchedAt + staleMs
    // Whoever comes meanwhile has the keys that are known; a failure is told to those that need new ones.
    if (isStale && !keys.reloading) keys.reload().catch(() => {})
    return await keys(header, token)
  }
}

/** A v1 issuer of Entra ends in a slash, a v2 issuer does not. */
const discoveryOf = (issuer: string) => `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`

/** No redirects: what we trust lies where the setting says, or where that says. */
async function fetchJson(url: string, signal: AbortSignal): Promise<unknown> {
  const answer = await fetch(url, { signal, redirect: 'error', headers: { accept: 'application/json' } })
  if (!answer.ok || !answer.body) {
    await answer.body?.cancel()
    throw new Error(`it answered ${answer.status}`)
  }
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of answer.body) {
    bytes += chunk.length
    if (bytes > mostBytes) throw new Error('it answers without end')
    chunks.push(chunk)
  }
  return JSON.parse(Buffer.concat(chunks).toString('utf8'))
}
