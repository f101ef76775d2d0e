import { createHash, timingSafeEqual } from 'node:crypto'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { sendProblem } from './problem.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** Who calls: a short digest of the token, safe to store. */
    client: string
  }
}

const openPaths = /^\/(?:healthz|readyz|metrics|docs(?:\/.*)?)$/

/**
 * Static tokens. Programs send `Authorization: Bearer TOKEN`; a browser that opens Bull Board is asked for a password,
 * which is the token (Basic, any user name).
 */
export function requireToken(app: FastifyInstance, tokens: string[]): void {
  const known = tokens.map(digest)
  app.decorateRequest('client', '')
  app.addHook('onRequest', async (request, reply) => {
    const path = request.url.split('?')[0] ?? ''
    if (openPaths.test(path)) return
    const given = tokenOf(request)
    const match =
      given === undefined ? undefined : known.find((token) => timingSafeEqual(token, digest(given)))
    if (!match) {
      void reply.header('www-authenticate', 'Basic realm="framefleet", charset="UTF-8"')
      await sendProblem(reply, {
        status: 401,
        code: 'unauthorized',
        detail: 'A valid token is needed: Authorization: Bearer TOKEN.',
      })
      return
    }
    request.client = match.toString('hex').slice(0, 16)
  })
}

const digest = (token: string) => createHash('sha256').update(token).digest()

function tokenOf(request: FastifyRequest): string | undefined {
  const [scheme, value = ''] = (request.headers.authorization ?? '').split(' ')
  if (/^bearer$/i.test(scheme ?? '')) return value
  if (/^basic$/i.test(scheme ?? ''))
    return Buffer.from(value, 'base64').toString('utf8').split(':').slice(1).join(':')
  return undefined
}
