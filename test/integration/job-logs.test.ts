import { once } from 'node:events'
import { Agent, type IncomingMessage, get } from 'node:http'
import type { Socket } from 'node:net'
import Fastify from 'fastify'
import { serializerCompiler, validatorCompiler } from 'fastify-type-provider-zod'
import { expect, test } from 'vitest'
import { addLogRoutes } from '../../src/producer/log-routes.ts'
import type { BlobStore } from '../../src/shared/blob-store.ts'
import { type LogSearch, findJobLines } from '../../src/producer/job-logs.ts'
import { layout } from '../../src/shared/layout.ts'
import { specOf } from '../support/jobs.ts'
import { closedAfterEach, useServices } from '../support/use-services.ts'

const services = useServices()
const opened = closedAfterEach()
const job = 'aaaaaaaa-0000-4000-8000-000000000001'
const other = 'bbbbbbbb-0000-4000-8000-000000000002'

const line = (time: string, jobId: string, msg: string, more = '') =>
  `${JSON.stringify({ level: 'info', time, role: 'r', job: jobId, msg, more })}\n`
const at = (second: number, day = 11) => `2026-01-${day}T23:59:${String(second).padStart(2, '0')}.000Z`

async function put(store: BlobStore, name: string, ...parts: string[]): Promise<void> {
  const blob = store.appendBlob(name)
  await blob.createIfNotExists()
  for (const part of parts) await blob.appendBlock(part, Buffer.byteLength(part))
}
const named = (role: string, instance: string, startedAt: string, day = '2026-01-11', number = 0) =>
  layout.log(role, instance, new Date(startedAt))(day, number)

const search = (more: Partial<LogSearch> = {}): LogSearch => ({
  ...{ jobId: job, from: new Date(at(0)), to: new Date(at(30)), limit: 100 },
  ...more,
})
const said = (lines: string[]) => lines.map((text) => (JSON.parse(text) as { msg: string }).msg)

test('the lines of a job come from all roles and days in the order of their times, and no others', async () => {
  const store = await services.container()
  await put(
    store,
    named('worker', 'a', at(0)),
    line(at(3), job, 'third') + line(at(4), other, 'not ours'),
    line(at(5), job, 'fifth'),
  )
  await put(store, named('producer', 'b', at(0)), line(at(1), job, 'first'), line(at(4), job, 'fourth'))
  await put(store, named('producer', 'b', at(0), '2026-01-11', 1), line(at(2), job, 'second'))
  // Said before midnight, sent after it; and a line that is not yet whole.
  await put(store, named('stitcher', 'c', at(0), '2026-01-12'), line(at(9), job, 'last'), `{"job":"${job}"`)
  // Whoever began after the end has nothing to say, and what is no log is not read.
  await put(store, named('worker', 'd', '2026-01-12T01:00:00Z', '2026-01-12'), line(at(7), job, 'too late'))
  await put(store, 'logs/2026-01-10/worker/e', line(at(6), job, 'too early'))
  const { lines, next } = await findJobLines(store, search())
  expect(said(lines)).toEqual(['first', 'second', 'third', 'fourth', 'fifth', 'last'])
  expect(next).toBeUndefined()
})

test('a long search is answered in parts that leave nothing out, also of lines of one instant', async () => {
  const store = await services.container()
  const lines = (role: string, count: number) =>
    Array.from({ length: count }, (_, i) => line(at(Math.floor(i / 10)), job, `${role} ${i}`)).join('')
  await put(store, named('worker', 'a', at(0)), lines('a', 100))
  await put(store, named('worker', 'b', at(0)), lines('b', 100))
  const found: string[] = []
  let after: string | undefined
  do {
    const part = await findJobLines(store, search({ limit: 7, ...(after ? { after } : {}) }))
    expect(part.lines.length).toBeLessThanOrEqual(7)
    found.push(...said(part.lines))
    after = part.next
  } while (after !== undefined)
  expect(found).toHaveLength(200)
  expect(new Set(found).size).toBe(200)
  expect(found.slice(0, 21).at(-1)).toBe('a 10')
})

test('lines are found wherever the storage cuts its answers', async () => {
  const store = await services.container()
  const name = named('worker', 'a', at(0))
  const noise = line(at(1), other, 'noise', 'x'.repeat(1_000)).repeat(1_000)
  await put(store, name, noise, line(at(2), job, 'one'), noise, noise, line(at(3), job, 'two'), noise)
  const { lines } = await findJobLines(store, search())
  expect(said(lines)).toEqual(['one', 'two'])
})

test('nobody searches for one who has gone', async () => {
  const store = await services.container()
  await put(store, named('worker', 'a', at(0)), line(at(1), job, 'one'))
  await expect(findJobLines(store, search({ signal: AbortSignal.abort() }))).rejects.toThrow(/abort/i)
})

test('a connection that asks many times holds nothing of what it asked before', async () => {
  const system = await services.container()
  const app = Fastify({ forceCloseConnections: true })
  opened.push(app)
  app.setValidatorCompiler(validatorCompiler)
  app.setSerializerCompiler(serializerCompiler)
  app.decorateRequest('client', 'me')
  const sockets = new Map<Socket, number>()
  app.addHook('onRequest', async ({ raw: { socket } }) => {
    if (!sockets.has(socket)) sockets.set(socket, socket.listenerCount('close'))
  })
  // Accepted just now: each search looks at the days since then.
  const spec = specOf(job, { createdAt: new Date().toISOString() })
  const files = { findSpec: async () => spec, readReport: async () => undefined }
  addLogRoutes(app, { files, system })
  await app.listen({ host: '127.0.0.1', port: 0 })
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  for (let i = 0; i < 5; i++) {
    const asked = get(`${app.listeningOrigin}/v1/jobs/${job}/logs`, { agent })
    const [answer] = (await once(asked, 'response')) as [IncomingMessage]
    expect(answer.statusCode).toBe(200)
    await once(answer.resume(), 'end')
  }
  agent.destroy()
  expect(sockets.size).toBe(1)
  for (const [socket, before] of sockets) expect(socket.listenerCount('close')).toBeLessThanOrEqual(before)
})
