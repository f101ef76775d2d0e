import { once } from 'node:events'
import { type IncomingMessage, type ServerResponse, createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { SignJWT } from 'jose'

/** The object id of the identity that all tokens are of, and its client id. */
export const principal = '33333333-3333-4333-8333-333333333333'
const clientId = '44444444-4444-4444-8444-444444444444'
const header = 'what-only-this-container-knows'

export type Issued = { token: string; /** In milliseconds; the time that its `exp` says. */ expires: number }

/**
 * The identity endpoint of a container app, as far as a client meets one: Azure can't be here, so this keeps its contract over
 * HTTP ("Managed identities in Azure Container Apps": REST endpoint reference). Tokens live for `lifeSeconds`; `onIssued` is
 * waited for before one is handed out.
 */
export async function startFakeIdentity({
  lifeSeconds,
  resource = 'https://redis.azure.com',
  onIssued = async () => {},
}: {
  lifeSeconds: number
  /** What tokens are asked for. */
  resource?: string
  onIssued?: (issued: Issued) => Promise<void>
}) {
  const issued: Issued[] = []
  const refused: string[] = []
  let mode: 'answers' | 'away' | 'hangs' = 'answers'
  let hanging = 0

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '', 'http://identity')
    const asked = (name: string) => url.searchParams.get(name)
    const wrong =
      request.headers['x-identity-header'] !== header ||
      url.pathname !== '/msi/token' ||
      asked('api-version') !== '2019-08-01' ||
      asked('resource') !== resource ||
      asked('client_id') !== clientId
    if (wrong) {
      refused.push(`${url.pathname}${url.search}`)
      response.writeHead(400).end()
      return
    }
    const now = Math.floor(Date.now() / 1_000)
    const exp = now + lifeSeconds
    const token = await new SignJWT({ oid: principal, appid: clientId, n: issued.length })
      .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
      .setAudience(resource)
      .setIssuedAt(now)
      .setNotBefore(now)
      .setExpirationTime(exp)
      .sign(new Uint8Array(32))
    const made = { token, expires: exp * 1_000 }
    await onIssued(made)
    issued.push(made)
    const said = { access_token: token, expires_on: String(exp), token_type: 'Bearer' }
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify({ ...said, resource, client_id: clientId }))
  }

  const server = createServer((request, response) => {
    if (mode === 'away') request.socket.destroy()
    else if (mode === 'answers') void answer(request, response)
    else hanging++
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')

  return {
    issued,
    /** Questions that are not as they should be. */
    refused,
    /** What Azure sets in a container, and what we set: nothing else is to be tried. */
    env: {
      IDENTITY_ENDPOINT: `http://127.0.0.1:${(server.address() as AddressInfo).port}/msi/token`,
      IDENTITY_HEADER: header,
      AZURE_CLIENT_ID: clientId,
      AZURE_TOKEN_CREDENTIALS: 'ManagedIdentityCredential',
    },
    /** Questions that are left without an answer. */
    hanging: () => hanging,
    be: (wanted: typeof mode) => void (mode = wanted),
    async close(): Promise<void> {
      server.close()
      server.closeAllConnections()
    },
  }
}
