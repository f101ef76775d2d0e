import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type CryptoKey, type JWTPayload, SignJWT, exportJWK, generateKeyPair } from 'jose'

/**
 * An issuer of access tokens, as far as an API meets one: Microsoft Entra ID can't be here, so this keeps its contract over
 * HTTP ("OpenID Connect Discovery 1.0"; "Access tokens in the Microsoft identity platform"). Its tokens have the claims that
 * Entra gives an application which calls for itself.
 */
export type FakeIssuer = Awaited<ReturnType<typeof startFakeIssuer>>

type Key = { kid: string; privateKey: CryptoKey; publicKey: CryptoKey }
type TokenOptions = { key?: Key; kid?: string }

export const tenant = '11111111-1111-4111-8111-111111111111'
export const caller = '22222222-2222-4222-8222-222222222222'

export async function startFakeIssuer({ audience = 'api://framefleet' } = {}) {
  let keys: [Key] = [await newKey()]
  let mode: 'answers' | 'away' | 'hangs' | 'lies' | 'breaks' = 'answers'
  const asked: string[] = []
  const held = new Set<ServerResponse>()

  const server = createServer((request, response) => {
    asked.push(request.url ?? '')
    if (mode === 'away') request.socket.destroy()
    else if (mode === 'hangs') held.add(response)
    else if (mode === 'breaks') response.end('{"keys": [')
    else void answer(request.url ?? '', response)
  })
  const { promise: listening, resolve } = Promise.withResolvers<void>()
  server.listen(0, '127.0.0.1', resolve)
  await listening
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}/${tenant}/v2.0`

  async function answer(path: string, response: ServerResponse) {
    const { pathname } = new URL(issuer)
    const documents: Record<string, () => Promise<object>> = {
      [`${pathname}/.well-known/openid-configuration`]: async () => ({
        issuer: mode === 'lies' ? `${issuer}/of/another` : issuer,
        jwks_uri: `${issuer}/keys`,
        id_token_signing_alg_values_supported: ['RS256'],
      }),
      [`${pathname}/keys`]: async () => ({ keys: await Promise.all(keys.map(publicJwk)) }),
    }
    const found = await documents[path]?.()
    response
      .writeHead(found ? 200 : 404, { 'content-type': 'application/json' })
      .end(JSON.stringify(found ?? {}))
  }

  return {
    issuer,
    audience,
    /** What it was asked for. */
    asked,
    /** A token that is good for an hour; a claim that is undefined is left out. */
    async token(claims: JWTPayload = {}, { key = keys[0], kid = key.kid }: TokenOptions = {}) {
      const now = Math.floor(Date.now() / 1_000)
      const all = {
        ...{ iss: issuer, aud: audience, iat: now, nbf: now, exp: now + 3_600 },
        ...{ tid: tenant, oid: caller, azp: caller, sub: 'pairwise', ver: '2.0' },
        ...claims,
      }
      const given = Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined))
      return await new SignJWT(given)
        .setProtectedHeader({ alg: 'RS256', typ: 'JWT', kid })
        .sign(key.privateKey)
    },
    newKey,
    /** The key that tokens are to be checked by, as it is published. */
    publishedKey: async () => await publicJwk(keys[0]),
    /** From here on it signs by another key, and forgets those before. */
    async rotate() {
      keys = [await newKey()]
    },
    behave(next: typeof mode) {
      mode = next
    },
    async close() {
      for (const response of held) response.destroy()
      server.closeAllConnections()
      await new Promise((done) => server.close(done))
    },
  }
}

async function newKey(): Promise<Key> {
  const pair = await generateKeyPair('RS256')
  return { ...pair, kid: crypto.randomUUID() }
}

const publicJwk = async ({ kid, publicKey }: Key) => ({
  ...(await exportJWK(publicKey)),
  ...{ kid, use: 'sig' },
})
