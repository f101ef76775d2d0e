import tls from 'node:tls'
import { readFile } from 'node:fs/promises'
import { Writable } from 'node:stream'
import { Queue, Worker } from 'bullmq'
import { pino } from 'pino'
import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { connectRedis } from '../../src/shared/redis.ts'
import { startEntraRedis } from '../support/entra-redis.ts'
import { tempDir } from '../support/temp-dir.ts'
import { closedAfterEach, useServices } from '../support/use-services.ts'

/** Seconds; of whole ones, as Azure says them. */
const lifeSeconds = 4

const services = useServices()
const dir = tempDir()
const opened = closedAfterEach()
let entra: Awaited<ReturnType<typeof startEntraRedis>>
const lines: { msg: string; err?: string }[] = []
const log = pino(
  new Writable({
    write(line: Buffer, _, done) {
      lines.push(JSON.parse(line.toString()) as { msg: string })
      done()
    },
  }),
)

beforeAll(async () => {
  entra = await startEntraRedis(services.redisUrl, { dir, lifeSeconds })
  for (const [name, value] of Object.entries(entra.env)) vi.stubEnv(name, value)
  tls.setDefaultCACertificates([...tls.getCACertificates('default'), await readFile(entra.cert, 'utf8')])
})
afterAll(async () => {
  vi.unstubAllEnvs()
  await entra?.close()
})
beforeEach(() => {
  lines.length = 0
  entra.dropped.length = 0
})

function open(name: string, options: { patient?: boolean } = {}) {
  const redis = connectRedis(entra.env, log, { name, ...options })
  opened.push({ close: async () => redis.disconnect() })
  return redis
}

const said = () => lines.map(({ msg }) => msg)
const tokensFrom = async (before: number, more: number) =>
  await expect
    .poll(() => entra.identity.issued.length, { timeout: 30_000 })
    .toBeGreaterThanOrEqual(before + more)

test('connections outlive their tokens, also while a claim waits and over duplicates, and none is dropped', async () => {
  const connection = open('many')
  const prefix = services.prefix()
  const queue = new Queue('batch', { connection, prefix })
  const done: string[] = []
  const worker = new Worker('batch', async ({ name }) => void done.push(name), {
    ...{ connection, prefix, drainDelay: 2 },
  })
  opened.push(worker, queue)
  await worker.waitUntilReady()
  const before = entra.connections()
  // Some lives: each connection has shown as many tokens by then, or was dropped.
  await tokensFrom(entra.identity.issued.length, 3)
  await queue.add('last', {})
  await expect.poll(() => done).toEqual(['last'])
  expect(entra.dropped).toEqual([])
  expect(entra.connections()).toBe(before)
  expect(entra.identity.refused).toEqual([])
  expect(said()).toEqual([])
})

test('no token to be had is a Redis that is away: what was asked meanwhile waits, and is answered', async () => {
  const redis = open('patient')
  const hasty = open('hasty', { patient: false })
  await Promise.all([redis.set('here', '1'), hasty.get('here')])
  entra.identity.be('away')
  await expect.poll(() => entra.dropped.length, { timeout: 30_000 }).toBe(2)
  const waiting = redis.get('here')
  await expect(hasty.get('here')).rejects.toThrow(/max retries per request|Command timed out/)
  entra.identity.be('answers')
  expect(await waiting).toBe('1')
  await expect.poll(async () => await hasty.get('here').catch(() => undefined), { timeout: 15_000 }).toBe('1')
  expect(said().filter((msg) => msg.startsWith('no token'))).toHaveLength(1)
  expect(said().filter((msg) => msg.startsWith('redis is away'))).toHaveLength(2)
  expect(said().filter((msg) => msg === 'redis is back')).toHaveLength(2)
})

test('a connection that is cut after its token has ended comes back with a fresh one', async () => {
  const redis = open('cut')
  await redis.set('there', '2')
  const other = redis.duplicate()
  opened.push({ close: async () => other.disconnect() })
  const claim = other.blpop('a-list', 0)
  await tokensFrom(entra.identity.issued.length, 2)
  entra.cut()
  expect(await redis.get('there')).toBe('2')
  await redis.rpush('a-list', 'one')
  expect(await claim).toEqual(['a-list', 'one'])
})

test('a connection that Redis knows no more is made anew, and the command that found out is answered', async () => {
  const redis = open('forgotten')
  await redis.set('known', '3')
  await redis.call('RESET')
  expect(await redis.get('known')).toBe('3')
})

test('a token that Redis does not take yet loses no command, and no error or line of the log knows it', async () => {
  entra.admits(false)
  // One that it has seen goes on being good until it ends.
  const redis = open('refused')
  await expect
    .poll(() => lines.map(({ err }) => err), { timeout: 30_000 })
    .toContainEqual(expect.stringMatching(/^Redis refuses .*WRONGPASS/))
  const waiting = redis.incr('counted')
  entra.admits(true)
  expect(await waiting).toBe(1)
  const everything = JSON.stringify(lines)
  for (const { token } of entra.identity.issued) expect(everything).not.toContain(token.split('.')[2])
})

test('a token is sent over TLS, or not at all', () => {
  const auth = { FRAMEFLEET_REDIS_AUTH: 'entra' as const }
  const over = (FRAMEFLEET_REDIS_URL: string) => () =>
    connectRedis({ ...auth, FRAMEFLEET_REDIS_URL }, log, { name: 'plain' })
  expect(over('redis://cache.example.com:10000')).toThrow('must begin with rediss://')
  expect(over('rediss://:hunter2@cache.example.com:10000')).toThrow(/has a password.*take it out/)
})
