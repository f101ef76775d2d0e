import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { FastifyInstance, RouteOptions } from 'fastify'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { ApiRole } from '../../src/producer/api-role.ts'
import { createIssuerKeys } from '../../src/producer/issuer-keys.ts'
import { createTokenReader } from '../../src/producer/jwt.ts'
import { createServer } from '../../src/producer/server.ts'
import { type FakeIssuer, startFakeIssuer } from '../support/fake-issuer.ts'
import { silent } from '../support/services.ts'

type Deps = Parameters<typeof createServer>[0]

/** Stands where a service would be: no request gets as far as asking it. */
const absent: object = new Proxy(() => absent, {
  get: (_, name) => (name === 'then' || typeof name === 'symbol' ? undefined : absent),
})
const passed = 299

/** The producer's whole server, every route of it, with whoever is let through answered before the route does anything. */
async function startServer(given: Partial<Deps>) {
  const routes: RouteOptions[] = []
  const onServer = (message: unknown) => {
    const { fastify } = message as { fastify: FastifyInstance }
    fastify.addHook('onRoute', (route) => void routes.push(route))
    fastify.addHook('preParsing', async (_request, reply) => {
      await reply.code(passed).send()
    })
  }
  subscribe('fastify.initialization', onServer)
  const links = { origin: 'https://media.example.com' } as Deps['links']
  const deps = { maxRequestsPerSecond: 1_000, boardQueues: [], docsOpen: true, log: silent, links, ...given }
  const app = await createServer(
    new Proxy(deps, { get: (own, name) => Reflect.get(own, name) ?? absent }) as Deps,
  )
  await app.ready()
  unsubscribe('fastify.initialization', onServer)
  return { app, routes }
}

let issuer: FakeIssuer
let server: Awaited<ReturnType<typeof startServer>>
beforeAll(async () => {
  issuer = await startFakeIssuer()
  const readToken = createTokenReader(issuer, createIssuerKeys(issuer.issuer, silent))
  server = await startServer({ tokens: [], readToken })
})
afterAll(async () => {
  await server.app.close()
  await issuer.close()
})

const callsOf = ({ method, url }: RouteOptions) =>
  [method].flat().map((each) => ({ method: each as 'GET', url: url.replaceAll(/:\w+|\*/g, 'some-thing-1') }))

test('no answer is shown within another page, or taken for what it is not', async () => {
  const calls = [...server.routes.flatMap(callsOf), { method: 'GET' as const, url: '/nowhere' }]
  const answers = await Promise.all(calls.map(async (call) => await server.app.inject(call)))
  for (const { headers } of answers) {
    expect(headers['content-security-policy']).toMatch(/frame-ancestors 'none'$/)
    expect(headers['x-content-type-options']).toBe('nosniff')
  }
})

test('every route says who may call it', () => {
  const unnamed = server.routes.filter(({ config }) => config?.role === undefined)
  expect(unnamed.map(({ method, url }) => `${String(method)} ${url}`)).toEqual([])
  expect(server.routes.length).toBeGreaterThan(40)
})

test('what each role may call is what is written down', () => {
  const perRole = Map.groupBy(
    server.routes.filter(({ method, url }) => url.startsWith('/v1/') && method !== 'HEAD'),
    ({ config }) => config?.role,
  )
  const lines = (role: ApiRole) =>
    perRole
      .get(role)
      ?.map(({ method, url }) => `${String(method)} ${url}`)
      .toSorted()
  expect(lines('Fleet.Admin')).toEqual([
    'DELETE /v1/quarantine/:id',
    'DELETE /v1/schedules/:id',
    'POST /v1/quarantine/:id/retry',
    'POST /v1/schedules/:id/run',
    'PUT /v1/fleet',
    'PUT /v1/schedules/:id',
    'PUT /v1/triggers',
  ])
  expect(lines('Job.Submit')).toEqual([
    'DELETE /v1/jobs/:id',
    'OPTIONS /v1/events',
    'POST /v1/events',
    'POST /v1/jobs',
    'POST /v1/jobs/:id/restitch',
    'POST /v1/jobs/:id/resume',
    'POST /v1/readings',
    'POST /v1/resume',
    'POST /v1/uploads',
  ])
  expect(perRole.get('Job.Read')?.map(({ method }) => method)).not.toContain('DELETE')
})

test.each<[string, ApiRole[], ApiRole[]]>([
  ['no token', [], ['open']],
  ['Job.Read', ['Job.Read'], ['open', 'Job.Read']],
  ['Job.Submit', ['Job.Submit'], ['open', 'Job.Read', 'Job.Submit']],
  ['Fleet.Admin', ['Fleet.Admin'], ['open', 'Job.Read', 'Job.Submit', 'Fleet.Admin']],
])('with %s exactly those routes answer that should', async (_, roles, mayCall) => {
  const token = await issuer.token({ roles })
  const headers = roles.length > 0 ? { authorization: `Bearer ${token}` } : {}
  const calls = server.routes.flatMap((route) =>
    callsOf(route).map((call) => ({ ...call, role: route.config?.role })),
  )
  const refused = roles.length > 0 ? 403 : 401
  const got: string[] = []
  const wanted: string[] = []
  for (const { method, url, role } of calls) {
    const { statusCode } = await server.app.inject({ method, url, headers })
    got.push(`${method} ${url} ${statusCode}`)
    wanted.push(`${method} ${url} ${mayCall.includes(role ?? 'Fleet.Admin') ? passed : refused}`)
  }
  expect(got).toEqual(wanted)
})

test("the API's description can be kept to callers", async () => {
  const closed = await startServer({ docsOpen: false, tokens: ['a-static-token-of-some-length'] })
  for (const url of ['/docs', '/docs/json', '/docs/static/index.html']) {
    expect((await server.app.inject({ url })).statusCode).toBe(passed)
    const answer = await closed.app.inject({ url })
    expect({ url, status: answer.statusCode }).toEqual({ url, status: 401 })
    // A browser asks for a password then.
    expect(String(answer.headers['www-authenticate'])).toContain('Basic ')
  }
  await closed.app.close()
})

test('the API says of each operation which role it needs', async () => {
  const { paths, components } = server.app.swagger() as {
    paths: Record<string, Record<string, { security?: Record<string, string[]>[] }>>
    components: { securitySchemes: object }
  }
  expect(Object.keys(components.securitySchemes)).toEqual(['token', 'entra'])
  expect(paths['/v1/fleet']?.['put']?.security).toEqual([{ token: [] }, { entra: ['Fleet.Admin'] }])
  expect(paths['/v1/jobs/{id}']?.['get']?.security).toEqual([{ token: [] }, { entra: ['Job.Read'] }])
})
