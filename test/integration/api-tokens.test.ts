import Fastify from 'fastify'
import { SignJWT, UnsecuredJWT } from 'jose'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type ApiRole, giveRole } from '../../src/producer/api-role.ts'
import { requireToken } from '../../src/producer/auth.ts'
import { type KeyTimes, createIssuerKeys } from '../../src/producer/issuer-keys.ts'
import { createTokenReader } from '../../src/producer/jwt.ts'
import { handleErrors } from '../../src/producer/problem.ts'
import { type FakeIssuer, caller, startFakeIssuer, tenant } from '../support/fake-issuer.ts'
import { silent } from '../support/services.ts'
import { closedAfterEach } from '../support/use-services.ts'

const open = closedAfterEach()
const staticToken = 'a-static-token-of-some-length'
const minutes = (n: number) => Math.floor(Date.now() / 1_000) + n * 60

/** An API with a route for each role, one that names none, and an issuer whose tokens it takes. */
async function startApi(times: KeyTimes = {}, closing = open) {
  const issuer = await startFakeIssuer()
  const app = Fastify()
  closing.push(issuer, app)
  handleErrors(app)
  const readToken = createTokenReader(issuer, createIssuerKeys(issuer.issuer, silent, times))
  requireToken(app, { tokens: [staticToken], readToken })
  const answer = async ({ client, roles }: { client: string; roles: ReadonlySet<ApiRole> }) => ({
    client,
    roles: [...(roles ?? [])],
  })
  for (const role of ['Job.Read', 'Job.Submit', 'Fleet.Admin', 'open'] as const) {
    app.get(`/${role}`, { config: { role } }, answer)
  }
  app.get('/unnamed', answer)
  await app.register(async (scope) => {
    giveRole(scope, 'Fleet.Admin')
    scope.get('/queues', answer)
    scope.post('/queues/api', answer)
  })
  return {
    issuer,
    async call(
      token: string | undefined,
      url = '/Job.Read',
      { scheme = 'Bearer', method = 'GET', site = '' } = {},
    ) {
      const headers = {
        ...(token === undefined ? {} : { authorization: `${scheme} ${token}` }),
        ...(site === '' ? {} : { 'sec-fetch-site': site }),
      }
      const answer = await app.inject({ method: method as 'GET', url, headers })
      return { status: answer.statusCode, headers: answer.headers, body: answer.json() }
    },
  }
}

let shared: Awaited<ReturnType<typeof startApi>>
const kept: { close(): Promise<unknown> }[] = []
beforeAll(async () => {
  shared = await startApi({}, kept)
})
afterAll(async () => {
  for (const each of kept) await each.close()
})

test('a token of the issuer is known by tenant and object, and may do what its roles say', async () => {
  const { issuer, call } = shared
  expect(await call(await issuer.token({ roles: ['Job.Read'] }))).toMatchObject({
    status: 200,
    body: { client: `${tenant}.${caller}`, roles: ['Job.Read'] },
  })
})

test.each<[string, unknown, Record<string, number>]>([
  ['Job.Read', ['Job.Read'], { 'Job.Read': 200, 'Job.Submit': 403, 'Fleet.Admin': 403, unnamed: 403 }],
  ['Job.Submit', ['Job.Submit'], { 'Job.Read': 200, 'Job.Submit': 200, 'Fleet.Admin': 403, unnamed: 403 }],
  ['Fleet.Admin', ['Fleet.Admin'], { 'Job.Read': 200, 'Job.Submit': 200, 'Fleet.Admin': 200, unnamed: 200 }],
  ['both lower ones', ['Job.Submit', 'Job.Read'], { 'Job.Submit': 200, 'Fleet.Admin': 403 }],
  ['no role at all', undefined, { 'Job.Read': 403, 'Fleet.Admin': 403 }],
  ['roles of others', ['open', 'Fleet.Admin.All', 'fleet.admin', 7], { 'Job.Read': 403, unnamed: 403 }],
  ['a role that is no list', 'Fleet.Admin', { 'Job.Read': 403, unnamed: 403 }],
])('with %s', async (_, roles, statuses) => {
  const { issuer, call } = shared
  const token = await issuer.token({ roles })
  const got = await Promise.all(
    Object.keys(statuses).map(async (role) => [role, (await call(token, `/${role}`)).status]),
  )
  expect(Object.fromEntries(got)).toEqual(statuses)
})

test('what a user lets an application do is no role', async () => {
  const { issuer, call } = shared
  const answer = await call(await issuer.token({ scp: 'Fleet.Admin Job.Submit' }), '/Job.Submit')
  expect(answer).toMatchObject({
    status: 403,
    body: { code: 'forbidden', detail: 'This needs the role Job.Submit; the token has none.' },
  })
})

const asTheirs = (claims: object) => async (issuer: FakeIssuer) =>
  await issuer.token({ roles: ['Fleet.Admin'], ...claims })

test.each<[string, (issuer: FakeIssuer) => Promise<string>, RegExp]>([
  ['expired', asTheirs({ nbf: minutes(-90), exp: minutes(-2) }), /^The token has expired; get a new one\.$/],
  ['not valid yet', asTheirs({ nbf: minutes(2) }), /^The token is not valid yet;/],
  ['without an end', asTheirs({ exp: undefined }), /^The token has no exp\.$/],
  ['without a beginning', asTheirs({ nbf: undefined }), /^The token has no nbf\.$/],
  [
    'for another audience',
    asTheirs({ aud: 'https://graph.microsoft.com' }),
    /its audience must be api:\/\/framefleet\.$/,
  ],
  [
    'that only tells who a user is',
    asTheirs({ azp: undefined, nonce: 'n' }),
    /^The token is no access token/,
  ],
  ['for nobody', asTheirs({ aud: undefined }), /^The token has no aud\.$/],
  [
    'of another tenant',
    async (issuer) => await issuer.token({ iss: issuer.issuer.replace(tenant, caller) }),
    /another issuer/,
  ],
  [
    'of the v1 issuer',
    async (issuer) => await issuer.token({ iss: issuer.issuer.replace('/v2.0', '/') }),
    /another issuer/,
  ],
  [
    'by a key that only calls itself theirs',
    async (issuer) => {
      const { kid } = await issuer.publishedKey()
      return await issuer.token({}, { key: await issuer.newKey(), kid })
    },
    /^The token's signature is not its issuer's\.$/,
  ],
  [
    'by a key of nobody',
    async (issuer) => await issuer.token({}, { key: await issuer.newKey() }),
    /a key that its issuer does not publish/,
  ],
  [
    'that is not signed',
    async (issuer) =>
      new UnsecuredJWT({ roles: ['Fleet.Admin'] })
        .setIssuer(issuer.issuer)
        .setAudience(issuer.audience)
        .setNotBefore(0)
        .setExpirationTime('1h')
        .encode(),
    /can not be read|must be signed/,
  ],
  [
    'signed by what is public, as if it were a secret',
    async (issuer) => {
      const jwk = await issuer.publishedKey()
      return await new SignJWT({ roles: ['Fleet.Admin'] })
        .setProtectedHeader({ alg: 'HS256', kid: jwk.kid })
        .setIssuer(issuer.issuer)
        .setAudience(issuer.audience)
        .setNotBefore(0)
        .setExpirationTime('1h')
        .sign(new TextEncoder().encode(JSON.stringify(jwk)))
    },
    /^The token must be signed by one of RS256, /,
  ],
  [
    'changed on the way',
    async (issuer) => {
      const [head, , signature] = (await issuer.token()).split('.')
      const body = Buffer.from(JSON.stringify({ roles: ['Fleet.Admin'] })).toString('base64url')
      return [head, body, signature].join('.')
    },
    /signature is not its issuer's/,
  ],
  [
    'that only looks like one',
    async () => 'eyJhbGciOiJSUzI1NiJ9.bm90IGpzb24.AAAA',
    /signature|can not be read|does not publish/,
  ],
  ['that is something else', async () => 'wrong-wrong-wrong-wrong', /^A valid token is needed/],
  [
    'far too long',
    async (issuer) => await issuer.token({ groups: Array.from({ length: 400 }, () => caller) }),
    /longer than 8192 characters/,
  ],
])('a token %s is refused in one sentence', async (_, make, sentence) => {
  const { issuer, call } = shared
  const answer = await call(await make(issuer))
  expect(answer).toMatchObject({ status: 401, body: { status: 401, code: 'unauthorized' } })
  expect(answer.body.detail).toMatch(sentence)
  expect(String(answer.headers['www-authenticate'])).toBe(
    `Bearer realm="framefleet", error="invalid_token", error_description="${answer.body.detail}"`,
  )
})

test('clocks may differ by less than a minute', async () => {
  const { issuer, call } = shared
  const token = await issuer.token({ roles: ['Job.Read'], nbf: minutes(0) + 30, exp: minutes(10) })
  expect(await call(token)).toMatchObject({ status: 200 })
})

test('who sends no token hears how, and what is open asks for none', async () => {
  const { call } = shared
  expect(String((await call(undefined)).headers['www-authenticate'])).toBe('Bearer realm="framefleet"')
  expect(await call(undefined, '/open')).toMatchObject({ status: 200 })
  expect(await call(undefined, '/nothing')).toMatchObject({ status: 401 })
  expect(await call(staticToken, '/nothing')).toMatchObject({ status: 404, body: { code: 'not-found' } })
})

test('a browser gives a token as password, for the pages it opens by itself', async () => {
  const { issuer, call } = shared
  const password = (token: string) => Buffer.from(`me:${token}`).toString('base64')
  const admin = await issuer.token({ roles: ['Fleet.Admin'] })
  for (const token of [staticToken, admin]) {
    expect(await call(password(token), '/queues', { scheme: 'Basic' })).toMatchObject({ status: 200 })
    expect(await call(password(token), '/Job.Read', { scheme: 'Basic' })).toMatchObject({ status: 401 })
  }
  const refused = await call(password('wrong-wrong-wrong-wrong'), '/queues', { scheme: 'Basic' })
  expect(refused.headers['www-authenticate']).toContain('Basic realm="framefleet", charset="UTF-8"')
  const reader = await issuer.token({ roles: ['Job.Read'] })
  expect(await call(password(reader), '/queues', { scheme: 'Basic' })).toMatchObject({ status: 403 })
  // Browsers send a password along with whatever another site's page makes them ask.
  const post = { scheme: 'Basic', method: 'POST' }
  const change = async (site: string) =>
    (await call(password(staticToken), '/queues/api', { ...post, site })).status
  expect([await change('same-origin'), await change('cross-site'), await change('same-site')]).toEqual([
    200, 401, 401,
  ])
})

test('keys are fetched once, and again for one that is not known, however often it comes', async () => {
  const { issuer, call } = await startApi({ cooldownMs: 60_000 })
  const token = await issuer.token({ roles: ['Job.Read'] })
  const first = await Promise.all(Array.from({ length: 20 }, async () => (await call(token)).status))
  expect(new Set(first)).toEqual(new Set([200]))
  const strangers = Array.from(
    { length: 20 },
    async () => await issuer.token({}, { key: await issuer.newKey() }),
  )
  for (const stranger of await Promise.all(strangers))
    expect(await call(stranger)).toMatchObject({ status: 401 })
  // Discovery and keys.
  expect(issuer.asked).toHaveLength(2)
})

test('keys that were changed meanwhile are found, and those that went count no more', async () => {
  const { issuer, call } = await startApi({ cooldownMs: 0 })
  const before = await issuer.token({ roles: ['Job.Read'] })
  expect(await call(before)).toMatchObject({ status: 200 })
  await issuer.rotate()
  expect(await call(await issuer.token({ roles: ['Job.Read'] }))).toMatchObject({ status: 200 })
  expect(await call(before)).toMatchObject({ status: 401 })
})

test('a key that was withdrawn is found out though nobody brings a new one', async () => {
  const { issuer, call } = await startApi({ staleMs: 0 })
  const token = await issuer.token({ roles: ['Job.Read'] })
  expect(await call(token)).toMatchObject({ status: 200 })
  await issuer.rotate()
  await expect.poll(async () => (await call(token)).status).toBe(401)
})

test('keys that are known serve while the issuer is away, until they are too old', async () => {
  const { issuer, call } = await startApi({ cooldownMs: 0, staleMs: 0, silentMs: 0, oldestMs: 3_600_000 })
  const token = await issuer.token({ roles: ['Job.Read'] })
  expect(await call(token)).toMatchObject({ status: 200 })
  issuer.behave('away')
  for (let i = 0; i < 3; i += 1) expect(await call(token)).toMatchObject({ status: 200 })
  // Whether a key that is not known is good can't be told.
  await issuer.rotate()
  const newer = await issuer.token({ roles: ['Job.Read'] })
  expect(await call(newer)).toMatchObject({ status: 503 })
  issuer.behave('answers')
  expect(await call(newer)).toMatchObject({ status: 200 })

  const strict = await startApi({ oldestMs: 0, silentMs: 0 })
  const other = await strict.issuer.token({ roles: ['Job.Read'] })
  expect(await strict.call(other)).toMatchObject({ status: 200 })
  strict.issuer.behave('away')
  expect(await strict.call(other)).toMatchObject({ status: 503 })
})

test.each(['away', 'hangs', 'lies', 'breaks'] as const)(
  'an issuer that %s costs callers with its tokens a 503, and others nothing',
  async (behaviour) => {
    const { issuer, call } = await startApi({ answerWithinMs: 200, silentMs: 60_000 })
    issuer.behave(behaviour)
    const token = await issuer.token({ roles: ['Job.Read'] })
    for (let i = 0; i < 3; i += 1) {
      const answer = await call(token)
      expect(answer).toMatchObject({
        status: 503,
        headers: { 'retry-after': '5' },
        body: { code: 'unavailable' },
      })
      expect(answer.body.detail).toMatch(/^The issuer of the token does not answer/)
    }
    // Nobody waits for it again at once.
    expect(issuer.asked).toHaveLength(1)
    expect(await call(staticToken)).toMatchObject({ status: 200 })
  },
)
