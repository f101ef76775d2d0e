import { createHash, timingSafeEqual } from 'node:crypto'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { type ApiRole, everyRole } from './api-role.ts'
import { IssuerAway } from './issuer-keys.ts'
import { type Caller, TokenRefused, looksLikeJwt } from './jwt.ts'
import { sendProblem } from './problem.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** Who calls, safe to store: a short digest of a static token, or tenant and object of a JWT. */
    client: string
    roles: ReadonlySet<ApiRole>
  }
}

export type AuthDeps = {
  /** Static tokens; they may do everything. */
  tokens: string[]
  /** Who a JWT stands for. Throws TokenRefused or IssuerAway. None where no issuer is set. */
  readToken?: (token: string) => Promise<Caller>
}

/** Longer ones are not looked at: those of Entra have some 2,000 characters. */
const longestToken = 8_192

const needed = 'A valid token is needed: Authorization: Bearer TOKEN.'

/**
 * Each request needs a token with the role of its route; to be called before routes are added. Programs send
 * `Authorization: Bearer TOKEN`. A browser that opens Bull Board or the API's docs can't, and is asked for a password, which is
 * the token (Basic, any user name); elsewhere passwords are not taken.
 */
export function requireToken(app: FastifyInstance, { tokens, readToken }: AuthDeps): void {
  const known = tokens.map(digest)
  app.decorateRequest('client', '')
  app.decorateRequest('roles')
  app.addHook('onRequest', async (request, reply) => {
    const role = request.routeOptions.config.role ?? 'Fleet.Admin'
    // Who calls an open route is nobody's business, what is not there is the business of all who have a token.
    if (!request.is404 && role === 'open') return
    try {
      const { client, roles } = await callerOf(tokenOf(request))
      Object.assign(request, { client, roles })
      if (request.is404 || roles.has(role)) return
      const held = [...roles].join(', ') || 'none'
      const detail = `This needs the role ${role}; the token has ${held}.`
      await sendProblem(reply, { status: 403, code: 'forbidden', detail })
    } catch (error) {
      await refuse(error, request, reply)
    }
  })

  async function callerOf(token: string | undefined): Promise<Caller> {
    if (token === undefined) throw new TokenRefused(needed)
    if (token.length > longestToken)
      throw new TokenRefused(`The token is longer than ${longestToken} characters.`)
    const match = known.find((each) => timingSafeEqual(each, digest(token)))
    if (match) return { client: match.toString('hex').slice(0, 16), roles: everyRole }
    if (!readToken || !looksLikeJwt(token)) throw new TokenRefused(needed)
    return await readToken(token)
  }
}

async function refuse(error: unknown, request: FastifyRequest, reply: FastifyReply): Promise<void> {
  if (error instanceof IssuerAway) {
    void reply.header('retry-after', String(error.retryAfterSeconds))
    const detail = 'The issuer of the token does not answer, so that it can not be checked; try again.'
    await sendProblem(reply, { status: 503, code: 'unavailable', detail })
    return
  }
  if (!(error instanceof TokenRefused)) throw error
  // RFC 6750: who sent no token is told how, not that it is wrong.
  const why =
    request.headers.authorization === undefined
      ? ''
      : `, error="invalid_token", error_description="${error.message}"`
  const ways = [`Bearer realm="framefleet"${why}`]
  if (takesPassword(request)) ways.push('Basic realm="framefleet", charset="UTF-8"')
  void reply.header('www-authenticate', ways)
  await sendProblem(reply, { status: 401, code: 'unauthorized', detail: error.message })
}

const digest = (token: string) => createHash('sha256').update(token).digest()

/** Pages that a browser opens by itself, which can't send a header. */
const takesPassword = ({ url }: FastifyRequest) => /^\/(?:queues|docs)(?:[/?]|$)/.test(url)

function tokenOf(request: FastifyRequest): string | undefined {
  const [scheme, value = ''] = (request.headers.authorization ?? '').split(' ')
  if (/^bearer$/i.test(scheme ?? '')) return value
  if (/^basic$/i.test(scheme ?? '') && takesPassword(request) && !comesFromElsewhere(request))
    return Buffer.from(value, 'base64').toString('utf8').split(':').slice(1).join(':')
  return undefined
}

/** A browser sends a password along with whatever any page asks of us: only ours may change something by it. */
function comesFromElsewhere({ method, headers }: FastifyRequest): boolean {
  const site = headers['sec-fetch-site'] ?? 'same-origin'
  return method !== 'GET' && method !== 'HEAD' && site !== 'same-origin'
}
