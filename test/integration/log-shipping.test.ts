import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { promisify } from 'node:util'
import { Registry } from 'prom-client'
import { expect, test } from 'vitest'
import { createAppendedLog } from '../../src/shared/appended-log.ts'
import { type BlobStore, connectAccount, createBlobStore } from '../../src/shared/blob-store.ts'
import { createLogger } from '../../src/shared/log.ts'
import { createLogShipping } from '../../src/shared/log-shipping.ts'
import { throughAppendProxy } from '../support/append-proxy.ts'
import { silent } from '../support/services.ts'
import { closedAfterEach, useServices } from '../support/use-services.ts'

const services = useServices()
const open = closedAfterEach()

async function blobsOf(store: BlobStore): Promise<Record<string, string>> {
  const found: Record<string, string> = {}
  for await (const { name } of store.list('logs/')) found[name] = String(await store.read(name))
  return found
}

test('lines go to a blob of the day, redacted, and those that come while one block is on its way go with the next', async () => {
  const store = await services.container()
  const shipping = createLogShipping('worker', { everyMs: 10 })
  const log = createLogger('worker', 'info', shipping)
  shipping.begin({ system: store, instance: 'gpu 7/3', log: silent })
  log.info({ url: 'https://a.example/x?sv=1&sig=abcdef' }, 'first')
  await expect.poll(async () => Object.values(await blobsOf(store)).join('')).toContain('first')
  log.info('second')
  await shipping.close()
  log.info('too late')
  const [[name, text] = []] = Object.entries(await blobsOf(store))
  const today = new Date().toISOString().slice(0, 10)
  expect(name).toMatch(new RegExp(`^logs/${today}/worker/gpu-7-3-\\d{8}T\\d{9}Z-0\\.ndjson$`))
  const lines = (text ?? '').trim().split('\n')
  expect(lines.map((line) => (JSON.parse(line) as { msg: string }).msg)).toEqual(['first', 'second'])
  expect(text).not.toContain('abcdef')
})

test('what storage does not take waits for it up to a limit, and what is missing is counted and said', async () => {
  const store = await services.container()
  const away = createBlobStore(connectAccount(services.mediaAccount), `gone-${randomUUID().slice(0, 18)}`)
  const registry = new Registry()
  const shipping = createLogShipping('worker', { everyMs: 5, mostBytes: 1_000 })
  const warnings: string[] = []
  const log = { warn: (_fields: unknown, text: string) => void warnings.push(text) }
  shipping.begin({ system: away, instance: 'a', log: log as never, registry })
  shipping.take('{"line":0}\n')
  await expect.poll(() => warnings.length).toBeGreaterThan(0)
  for (let i = 1; i < 500; i++) shipping.take(`{"line":${i}}\n`)
  const dropped = await registry.getSingleMetricAsString('framefleet_log_lines_dropped_total')
  const lost = Number(/_total (\d+)/.exec(dropped)?.[1])
  expect(lost).toBeGreaterThan(300)
  await away.ensureContainer()
  await expect.poll(async () => Object.values(await blobsOf(away)).join('')).toContain('were dropped')
  await shipping.close()
  const lines = Object.values(await blobsOf(away))
    .join('')
    .trim()
    .split('\n')
  // The first ones are whole and in order, and a line says how many there would have been.
  const kept = lines.map((line) => JSON.parse(line) as { line?: number; lines?: number })
  expect(kept.flatMap(({ line }) => line ?? [])).toEqual(Array.from({ length: 500 - lost }, (_, i) => i))
  expect(kept.at(-1)).toMatchObject({ lines: lost })
  expect(await blobsOf(store)).toEqual({})
})

test('a line that is too long for a block is dropped, and holds up no other', async () => {
  const store = await services.container()
  const shipping = createLogShipping('worker', { everyMs: 5 })
  shipping.begin({ system: store, instance: 'a', log: silent })
  for (const line of ['first', 'x'.repeat(5 << 20), 'last']) shipping.take(`${JSON.stringify({ line })}\n`)
  await shipping.close(30_000)
  const lines = Object.values(await blobsOf(store))
    .join('')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as unknown)
  expect(lines).toMatchObject([{ line: 'first' }, { line: 'last' }, { lines: 1, msg: /were dropped/ }])
})

test('leaving takes no longer than it may while storage hangs', async () => {
  const hanging = createServer(() => {})
  await once(hanging.listen(0, '127.0.0.1'), 'listening')
  open.push({
    close: async () => {
      hanging.closeAllConnections()
      hanging.close()
    },
  })
  const { port } = hanging.address() as AddressInfo
  const account = `http://127.0.0.1:${port}/account?sv=2025-01-01&sig=x`
  const shipping = createLogShipping('worker', { everyMs: 5 })
  shipping.begin({ system: createBlobStore(connectAccount(account), 'system'), instance: 'a', log: silent })
  shipping.take('{}\n')
  await once(hanging, 'request')
  const began = performance.now()
  await shipping.close(300)
  expect(performance.now() - began).toBeLessThan(5_000)
})

test('an append whose answer was lost is not there twice', async () => {
  const store = await services.container()
  let left = 0
  let lost = 0
  const proxy = await throughAppendProxy(services.mediaAccount, store, (answer, from) => {
    if (left === 0) return false
    left -= 1
    lost += 1
    answer.resume().once('end', () => from.socket.destroy())
    return true
  })
  open.push(proxy)
  const log = createAppendedLog(proxy.through, (day, number) => `logs/${day}/${number}.ndjson`)
  await log.append(Buffer.from('one\n'))
  left = 5
  const second = Buffer.from('two\n')
  await log.append(second).catch(async () => await log.append(second))
  await log.append(Buffer.from('three\n'))
  expect(lost).toBeGreaterThan(0)
  expect(Object.values(await blobsOf(store))).toEqual(['one\ntwo\nthree\n'])
})

test('another day, and a full blob, begin another one; a blob that others wrote to is left', async () => {
  const store = await services.container()
  let day = Date.parse('2026-11-21T23:59:59Z')
  const log = createAppendedLog(store, (on, number) => `logs/${on}/${number}`, {
    now: () => day,
    mostBytes: 10,
  })
  await log.append(Buffer.from('12345\n'))
  await log.append(Buffer.from('67890\n'))
  day += 1_000
  await log.append(Buffer.from('next\n'))
  await store.appendBlob('logs/2026-11-22/2').appendBlock('!', 1)
  await log.append(Buffer.from('on\n')).catch(async () => await log.append(Buffer.from('on\n')))
  expect(await blobsOf(store)).toEqual({
    'logs/2026-11-21/0': '12345\n',
    'logs/2026-11-21/1': '67890\n',
    'logs/2026-11-22/2': 'next\n!',
    'logs/2026-11-22/3': 'on\n',
  })
})

test.each([
  ['could not start', "throw new Error('no Redis')"],
  [
    'unhandled rejection',
    "Promise.reject(new Error('no Redis')); return { drain: async () => {}, close: async () => {} }",
  ],
  [
    'uncaught exception',
    "setTimeout(() => { throw new Error('no Redis') }); return { drain: async () => {}, close: async () => {} }",
  ],
])('why a process ended is there after it: %s', async (msg, ends) => {
  const store = await services.container()
  const container = new URL(store.url('')).pathname.split('/').at(-1) ?? ''
  const script = `
    import { connectAccount, createBlobStore } from './src/shared/blob-store.ts'
    import { runRole } from './src/shared/lifecycle.ts'
    import { createLogger } from './src/shared/log.ts'
    import { createLogShipping, processName } from './src/shared/log-shipping.ts'
    const shipping = createLogShipping('worker', { everyMs: 60_000 })
    const log = createLogger('worker', 'info', shipping)
    await runRole({ log, shipping, drainMs: 0 }, async () => {
      const system = createBlobStore(connectAccount(process.env.ACCOUNT), '${container}')
      shipping.begin({ system, instance: processName('gpu-7'), log })
      ${ends}
    })`
  const ended = promisify(execFile)(process.execPath, ['--input-type=module-typescript', '-e', script], {
    env: { PATH: process.env['PATH'], ACCOUNT: services.mediaAccount },
  })
  await expect(ended).rejects.toMatchObject({ code: 1 })
  const [[name, text] = []] = Object.entries(await blobsOf(store))
  expect(name).toMatch(/\/worker\/gpu-7-\d+-/)
  const lines = (text ?? '')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as unknown)
  expect(lines).toContainEqual(expect.objectContaining({ level: 'fatal', msg, role: 'worker' }))
})
