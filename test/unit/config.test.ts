import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { z } from 'zod'
import { autoscalerSettings } from '../../src/autoscaler/config.ts'
import { readAccess } from '../../src/producer/access.ts'
import { producerSettings } from '../../src/producer/config.ts'
import { readConfig } from '../../src/shared/config.ts'
import { stitcherSettings } from '../../src/stitcher/config.ts'
import { workerSettings } from '../../src/worker/config.ts'
import { silent } from '../support/services.ts'

const root = join(import.meta.dirname, '../..')
const roles = {
  producer: producerSettings,
  worker: workerSettings,
  stitcher: stitcherSettings,
  autoscaler: autoscalerSettings,
}

const needed = {
  FRAMEFLEET_REDIS_URL: 'rediss://cache.example.com:6380',
  FRAMEFLEET_MEDIA_ACCOUNT: 'https://media.blob.core.windows.net',
  FRAMEFLEET_SYSTEM_ACCOUNT: 'https://system.blob.core.windows.net',
}
const token = 'a-token-of-some-length'

/** What reading says when it refuses. */
function refusal(shape: z.ZodRawShape, env: NodeJS.ProcessEnv): string {
  try {
    readConfig(shape, env)
  } catch (error) {
    return (error as Error).message
  }
  return 'it was taken'
}

test('a role needs its services named, and nothing else', () => {
  expect(readConfig(workerSettings, needed)).toMatchObject({
    ...needed,
    FRAMEFLEET_QUEUE_PREFIX: '{framefleet}',
    FRAMEFLEET_MEDIA_CONTAINER: 'media',
    FRAMEFLEET_WORKER_PORT: 9101,
    FRAMEFLEET_DRAIN_MS: 25_000,
  })
  expect(readConfig(stitcherSettings, needed)).toMatchObject({ FRAMEFLEET_STITCHER_PORT: 9102 })
})

test('the producer needs tokens as well, or an issuer of them', () => {
  const access = (env: NodeJS.ProcessEnv) =>
    readAccess(readConfig(producerSettings, { ...needed, ...env }), silent)
  const [issuer, audience] = ['https://login.microsoftonline.com/t/v2.0', 'an-application']
  expect(() => access({})).toThrow(
    'settings: nobody could call the API: set FRAMEFLEET_API_TOKENS, or FRAMEFLEET_API_ISSUER and FRAMEFLEET_API_AUDIENCE',
  )
  const half = 'settings: FRAMEFLEET_API_ISSUER and FRAMEFLEET_API_AUDIENCE go together: set both, or none'
  expect(() => access({ FRAMEFLEET_API_TOKENS: token, FRAMEFLEET_API_ISSUER: issuer })).toThrow(half)
  expect(() => access({ FRAMEFLEET_API_AUDIENCE: audience })).toThrow(half)
  expect(access({ FRAMEFLEET_API_TOKENS: token })).toEqual({ tokens: [token] })
  expect(access({ FRAMEFLEET_API_ISSUER: issuer, FRAMEFLEET_API_AUDIENCE: audience })).toEqual({
    tokens: [],
    readToken: expect.any(Function),
  })
  const read = readConfig(producerSettings, { ...needed, FRAMEFLEET_API_TOKENS: ` ${token} ,${token}2` })
  expect(read).toMatchObject({
    FRAMEFLEET_API_TOKENS: [token, `${token}2`],
    FRAMEFLEET_API_PORT: 8080,
    FRAMEFLEET_SOURCE_HOSTS: [],
  })
})

test('everything that is missing is said at once', () => {
  expect(refusal(workerSettings, {})).toBe(
    'settings: FRAMEFLEET_REDIS_URL is not set; FRAMEFLEET_MEDIA_ACCOUNT is not set; FRAMEFLEET_SYSTEM_ACCOUNT is not set',
  )
})

test('empty means not set', () => {
  const env = { ...needed, FRAMEFLEET_WORKER_PORT: '', FRAMEFLEET_CACHE_DIR: '', FRAMEFLEET_LOG_LEVEL: '' }
  expect(readConfig(workerSettings, env)).toEqual(readConfig(workerSettings, needed))
  expect(refusal(workerSettings, { ...needed, FRAMEFLEET_REDIS_URL: '' })).toBe(
    'settings: FRAMEFLEET_REDIS_URL is not set',
  )
})

test('variables of others are none of our business', () => {
  const read = readConfig(workerSettings, { ...needed, PATH: '/bin', FRAMEFLEET_API_TOKENS: token })
  expect(Object.keys(read).sort()).toEqual(Object.keys(workerSettings).sort())
})

test.each([
  [
    'FRAMEFLEET_SOURCE_HOSTS',
    ' CDN.Example.com, ,files.example.com:8443 ',
    ['cdn.example.com', 'files.example.com:8443'],
  ],
  ['FRAMEFLEET_API_PORT', '0', 0],
  ['FRAMEFLEET_API_PORT', '65535', 65_535],
  [
    'FRAMEFLEET_ARRIVALS_QUEUE',
    'https://acct.queue.core.windows.net/arrivals',
    'https://acct.queue.core.windows.net/arrivals',
  ],
  ['FRAMEFLEET_ARRIVALS_POLL_SECONDS', '2.5', 2.5],
  ['FRAMEFLEET_BOARD_WRITABLE', 'true', true],
  ['FRAMEFLEET_BOARD_WRITABLE', 'false', false],
  ['FRAMEFLEET_BOARD_WRITABLE', '0', false],
  ['FRAMEFLEET_MAX_SOURCE_BYTES', '1000', 1000],
  ['FRAMEFLEET_QUEUE_PREFIX', '{blue-2}', '{blue-2}'],
  ['FRAMEFLEET_REDIS_URL', 'redis://:hunter2@127.0.0.1:6379', 'redis://:hunter2@127.0.0.1:6379'],
])('%s may be "%s"', (name, value, read) => {
  const env = { ...needed, FRAMEFLEET_API_TOKENS: token, [name]: value }
  expect(readConfig(producerSettings, env)).toHaveProperty(name, read)
})

test.each([
  ['FRAMEFLEET_REDIS_URL', 'http://cache:6379', /Invalid URL/],
  ['FRAMEFLEET_REDIS_URL', 'cache:6379', /Invalid URL/],
  ['FRAMEFLEET_API_PORT', 'eighty', /expected number/],
  ['FRAMEFLEET_API_PORT', '65536', /<=65535/],
  ['FRAMEFLEET_API_PORT', '-1', />=0/],
  ['FRAMEFLEET_API_PORT', '80.5', /expected int/],
  ['FRAMEFLEET_DRAIN_MS', '25s', /expected number/],
  ['FRAMEFLEET_MAX_SOURCE_BYTES', '0', />0/],
  ['FRAMEFLEET_LOG_LEVEL', 'loud', /expected one of "fatal"/],
  ['FRAMEFLEET_ARRIVALS_QUEUE', 'arrivals', /must be the URL of a Storage queue/],
  ['FRAMEFLEET_ARRIVALS_QUEUE', 'https://acct.queue.core.windows.net', /must be the URL of a Storage queue/],
  ['FRAMEFLEET_ARRIVALS_POLL_SECONDS', '0.01', /must be 0, or 0.1 and more/],
  ['FRAMEFLEET_BOARD_WRITABLE', 'maybe', /expected one of "true"/],
  ['FRAMEFLEET_MEDIA_CONTAINER', 'Media', /must be a container name/],
  ['FRAMEFLEET_MEDIA_CONTAINER', 'a--b', /must be a container name/],
  ['FRAMEFLEET_SYSTEM_CONTAINER', 'ab', /must be a container name/],
  ['FRAMEFLEET_QUEUE_PREFIX', 'framefleet', /must be a name in braces/],
  ['FRAMEFLEET_API_TOKENS', 'short', /each token must have 16 characters or more/],
  ['FRAMEFLEET_API_TOKENS', `${token},`, /each token must have 16 characters or more/],
  ['FRAMEFLEET_API_ISSUER', 'http://login.example.com/t', /must be an https URL/],
  ['FRAMEFLEET_API_ISSUER', 'login.example.com', /must be an https URL/],
  ['FRAMEFLEET_LINK_MINUTES', '61', /<=60/],
  ['FRAMEFLEET_MEDIA_PUBLIC_URL', 'ftp://media', /Invalid URL/],
])('%s may not be "%s"', (name, value, sentence) => {
  const said = refusal(producerSettings, { ...needed, FRAMEFLEET_API_TOKENS: token, [name]: value })
  expect(said).toMatch(new RegExp(`^settings: ${name}: `))
  expect(said).toMatch(sentence)
  expect(said).not.toContain(';')
})

test.each(Object.entries(roles))('whatever a setting of the %s holds, no refusal tells it', (_, shape) => {
  const names = Object.keys(shape)
  const secret = '\u0000hunter2 hunter2'
  const said = refusal(shape, Object.fromEntries(names.map((name) => [name, secret])))
  expect(said).toMatch(/^settings: /)
  expect(said).not.toContain('hunter2')
})

// Every file that names settings of a role, so that a new role can't be forgotten here.
const files = globSync('src/*/config.ts', { cwd: root }).filter((file) => !file.includes('shared'))
const shapes: Record<string, unknown>[] = await Promise.all(
  files.map(async (file) => (await import(join(root, file))) as Record<string, unknown>),
)
const variables = [
  ...new Set(
    shapes.flatMap((module) => Object.values(module)).flatMap((shape) => Object.keys(shape as object)),
  ),
]
const textOf = (file: string) => readFileSync(join(root, file), 'utf8')
/** Variables that an environment file sets, or shows as a comment. */
const setIn = (text: string) =>
  [...text.matchAll(/^(?:#\s*)?([A-Z][A-Z0-9_]*)=/gm)].map(([, name]) => name ?? '')

test('all settings are known here', () => {
  const known = Object.values(roles).flatMap((shape) => Object.keys(shape))
  expect(variables).toEqual(expect.arrayContaining(known))
})

test('every setting of every role stands in .env.example, once', () => {
  const named = setIn(textOf('.env.example'))
  expect(variables.filter((name) => !named.includes(name))).toEqual([])
  expect(named.filter((name, i) => named.indexOf(name) !== i)).toEqual([])
})

test('.env.example names no setting that no role reads', () => {
  expect(setIn(textOf('.env.example')).filter((name) => !variables.includes(name))).toEqual([])
})

test('every setting stands in docs/settings.md, with the roles that read it', () => {
  const rows = textOf('docs/settings.md').matchAll(/^\| `([A-Z][A-Z0-9_]*)` +\| ([^|]*?) +\|/gm)
  const readers = Object.fromEntries([...rows].map(([, name, said]) => [name, said]))
  const reading = (name: string) => {
    const those = Object.entries(roles).filter(([, shape]) => name in shape)
    return those.length === Object.keys(roles).length ? 'all' : those.map(([role]) => role).join(', ')
  }
  expect(readers).toEqual(Object.fromEntries(variables.map((name) => [name, reading(name)])))
})
