import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { everyRole } from '../../src/producer/api-role.ts'
import type { BlobStore } from '../../src/shared/blob-store.ts'
import { throughAppendProxy } from '../support/append-proxy.ts'
import { startReadings } from '../support/readings.ts'
import { closedAfterEach, useServices } from '../support/use-services.ts'

const services = useServices()
const open = closedAfterEach()

const at = (time: string) => Date.parse(`2026-03-01T${time}Z`)
const reading = (TS: string, Val = 1, more = {}) => ({ TS, Device: 'pump-1', Tag: 'pressure', Val, ...more })
const line = (TS: string, Val = 1, more = {}) => JSON.stringify(reading(TS, Val, more))

async function start(media: BlobStore, options: Parameters<typeof startReadings>[1] = {}) {
  const { app, url } = await startReadings(media, options)
  open.push(app)
  const { port } = app.server.address() as AddressInfo
  /** A request whose body never comes whole. */
  const half = (headers: Record<string, string> = {}) => {
    const sent = request({
      ...{ port, host: '127.0.0.1', path: '/v1/readings', method: 'POST' },
      headers: { 'content-type': 'application/x-ndjson', 'content-length': 100, ...headers },
    }).on('error', () => {})
    sent.write('{')
    return sent
  }
  const post = async (body: string | Buffer, headers: Record<string, string> = {}) =>
    await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/x-ndjson', ...headers },
      body: typeof body === 'string' ? body : new Uint8Array(body),
    })
  return { app, post, half }
}

/** What is kept, by the folder of its hour. */
async function kept(store: BlobStore): Promise<Record<string, unknown[]>> {
  const found: Record<string, unknown[]> = {}
  for await (const { name } of store.list('readings/')) {
    const hour = name.split('/').slice(1, -1).join('/')
    const lines = String(await store.read(name))
      .split('\n')
      .filter(Boolean)
      .map((each) => JSON.parse(each) as unknown)
    found[hour] = [...(found[hour] ?? []), ...lines]
  }
  return found
}

test('readings are kept under their own hour, late ones under the oldest that is open; what is no reading is named', async () => {
  const media = await services.container()
  let now = at('10:02:00')
  const { post } = await start(media, { now: () => now })
  const body = [
    line('2026-03-01T10:00:00+00:00', 1, { Unit: 'bar' }),
    // Its hour is over, and takes readings for five minutes more.
    line('2026-03-01T10:59:59.5+01:00', 2),
    line('2026-03-01T08:59:59Z', 3),
    '',
    '{"TS":"2026-03-01T10:00:00Z"',
    line('2026-03-01T10:00:00', 4),
    line('2026-03-01T10:08:00Z', 5),
    line('1970-01-01T00:00:00Z', 6),
    '{"TS":"2026-03-01T10:00:00Z","Device":"pump-1","Tag":"pressure","Val":1e999}',
    JSON.stringify({ ...reading('2026-03-01T10:00:00Z'), Device: 'x'.repeat(5_000) }),
  ].join('\n')
  const answer = await post(gzipSync(body), { 'content-encoding': 'gzip' })
  expect(answer.status).toBe(207)
  const { errors, ...counts } = (await answer.json()) as { errors: { line: number; message: string }[] }
  expect(counts).toEqual({ taken: 3, late: 1, refused: 6 })
  expect(errors.map(({ line: number, message }) => `${number} ${message}`)).toEqual([
    '5 is not JSON',
    '6 TS: Invalid ISO datetime',
    '7 TS: is 6 min ahead of the clock here',
    '8 TS: is more than 31 days ago',
    expect.stringMatching(/^9 Val: /),
    '10 is longer than 4096 bytes',
  ])
  expect(await kept(media)).toEqual({
    '2026/03/01/09': [
      reading('2026-03-01T09:59:59.500Z', 2),
      // The next run is the one over this hour.
      reading('2026-03-01T08:59:59.000Z', 3),
    ],
    '2026/03/01/10': [reading('2026-03-01T10:00:00.000Z', 1, { Unit: 'bar' })],
  })

  // An hour that is closed stays as it is.
  now = at('10:05:00')
  const again = await post(`${line('2026-03-01T09:59:59.5Z', 2)}\n`)
  expect({ status: again.status, ...((await again.json()) as object) }).toMatchObject({
    status: 200,
    late: 1,
  })
  const { '2026/03/01/09': closed, '2026/03/01/10': next } = await kept(media)
  expect([closed?.length, next?.length]).toEqual([2, 2])
})

test('a body that can not be read is refused whole, in one sentence', async () => {
  const { post } = await start(await services.container())
  const refusal = async (answer: Promise<Response>) => {
    const { status, detail } = (await (await answer).json()) as { status: number; detail: string }
    return `${status} ${detail}`
  }
  const zipped = gzipSync(line('2026-03-01T10:00:00Z'))
  const gzip = { 'content-encoding': 'gzip' }
  expect(await refusal(post(zipped.subarray(0, -4), gzip))).toBe(
    '400 The body says that it is gzip, and is not, or not whole.',
  )
  expect(await refusal(post(gzipSync(Buffer.alloc(5 << 20)), gzip))).toBe(
    '413 The body unpacks to more than 4 MiB; send it in parts.',
  )
  expect(await refusal(post(Buffer.alloc(5 << 20)))).toBe('413 The body is larger than 4096 KiB.')
  expect(await refusal(post(zipped, { 'content-encoding': 'br' }))).toMatch(/^415 .* not br\.$/)
  expect(await refusal(post('{}', { 'content-type': 'application/xml' }))).toMatch(/^415 /)
})

test('a process that is killed has kept all that it said was taken; the rest, sent again, makes it whole', async () => {
  const media = await services.container()
  const container = new URL(media.url('')).pathname.split('/').at(-1) ?? ''
  const program = join(import.meta.dirname, '../support/readings-server.ts')
  const begin = async (instance: string) => {
    const child = spawn(process.execPath, [program, services.mediaAccount, container, instance], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    open.push({
      close: async () => {
        if (child.exitCode !== null || child.signalCode !== null) return
        child.kill('SIGKILL')
        await once(child, 'exit')
      },
    })
    const [port] = (await once(child.stdout, 'data')) as [Buffer]
    return { child, url: `http://127.0.0.1:${String(port).trim()}/v1/readings` }
  }
  const hour = new Date().toISOString().slice(0, 14)
  const TS = `${hour}00:00.000Z`
  const all = Array.from({ length: 200 }, (_, i) => i)
  const send = async (url: string, i: number) => {
    const body = Array.from({ length: 20 }, (_each, k) => line(TS, i * 20 + k)).join('\n')
    const answer = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/x-ndjson' },
      body,
    })
    if (!answer.ok) throw new Error(String(answer.status))
    await answer.json()
  }
  const first = await begin('first')
  const acknowledged = new Set<number>()
  const lanes = await Promise.allSettled(
    [0, 1, 2, 3].map(async (lane) => {
      for (const i of all.filter((each) => each % 4 === lane)) {
        await send(first.url, i)
        acknowledged.add(i)
        if (acknowledged.size === 40) first.child.kill('SIGKILL')
      }
    }),
  )
  expect(lanes.map(({ status }) => status)).toContain('rejected')
  if (first.child.signalCode === null) await once(first.child, 'exit')
  const values = async () =>
    new Set(
      Object.values(await kept(media))
        .flat()
        .map((each) => (each as { Val: number }).Val),
    )
  const there = await values()
  const of = (batches: Iterable<number>) =>
    [...batches].flatMap((i) => Array.from({ length: 20 }, (_, k) => i * 20 + k))
  expect(of(acknowledged).filter((value) => !there.has(value))).toEqual([])
  expect(acknowledged.size).toBeLessThan(all.length)

  const second = await begin('second')
  for (const i of all) if (!acknowledged.has(i)) await send(second.url, i)
  second.child.kill()
  await once(second.child, 'exit')
  expect(await values()).toEqual(new Set(of(all)))
})

test('no more bodies are held at once than there may be; callers that go away leave room', async () => {
  const { post, half } = await start(await services.container())
  const halves = Array.from({ length: 16 }, () => half())
  const now = () => post(line(new Date().toISOString()))
  await expect.poll(async () => (await now()).status).toBe(429)
  for (const each of halves) each.destroy()
  await expect.poll(async () => (await now()).status).toBe(200)
})

test('callers that go away while their token is looked at take no place', async () => {
  const looking: (() => void)[] = []
  let slow = true
  const { app, post, half } = await start(await services.container(), {
    async readToken() {
      if (slow) await new Promise<void>((resolve) => looking.push(resolve))
      return { client: 'gateway', roles: everyRole }
    },
  })
  const headers = { authorization: `Bearer ${Buffer.from('{"alg":"RS256"}').toString('base64url')}.e30.c2ln` }
  const halves = Array.from({ length: 20 }, () => half(headers))
  await expect.poll(() => looking.length).toBe(halves.length)
  const connections = promisify(app.server.getConnections.bind(app.server))
  for (const each of halves) each.destroy()
  await expect.poll(async () => await connections()).toBe(0)
  slow = false
  for (const go of looking) go()
  expect((await post(line(new Date().toISOString()), headers)).status).toBe(200)
})

test('a body of lines that are no readings is given up early', async () => {
  const { post } = await start(await services.container())
  const good = line(new Date().toISOString())
  const some = await post(`${'x\n'.repeat(9_999)}${good}\n{\n`)
  const { errors, ...counts } = (await some.json()) as { errors: { line: number; message: string }[] }
  expect({ status: some.status, ...counts }).toEqual({ status: 207, taken: 1, late: 0, refused: 10_000 })
  expect([errors.length, errors[0]]).toEqual([100, { line: 1, message: 'is no JSON object' }])
  const refusal = async (body: string) => {
    const answer = await post(body)
    return `${answer.status} ${((await answer.json()) as { detail: string }).detail}`
  }
  expect(await refusal(`${good}\n${'x\n'.repeat(2 << 20)}`.slice(0, 4 << 20))).toBe(
    '400 The body has more than 10000 lines that are no readings: nothing of it is taken.',
  )
  expect(await refusal('\n'.repeat(4 << 20))).toBe(
    '400 The body has more than 200000 lines: nothing of it is taken.',
  )
})

test('where storage is slow callers hear so, and what was given up is never taken for what comes after it', async () => {
  const media = await services.container()
  let hanging = false
  let held = 0
  const proxy = await throughAppendProxy(services.mediaAccount, media, (answer) => {
    if (!hanging) return false
    held += 1
    answer.resume()
    return true
  })
  open.push(proxy)
  const { post } = await start(proxy.through, {
    now: () => at('10:30:00'),
    patienceMs: 2_000,
    mostBytes: 200,
  })
  const one = (Val: number) => post(line('2026-03-01T10:00:00Z', Val))
  expect((await one(1)).status).toBe(200)
  hanging = true
  const slow = [one(2), one(3)]
  await expect.poll(() => held).toBeGreaterThan(0)
  const full = await one(4)
  expect({ status: full.status, later: full.headers.get('retry-after') }).toEqual({ status: 429, later: '5' })
  expect((await Promise.all(slow)).map(({ status }) => status)).toEqual([503, 503])
  hanging = false
  // As long as one that was given up, to the byte, though it was taken without our hearing of it.
  expect((await one(5)).status).toBe(200)
  const values = Object.values(await kept(media))
    .flat()
    .map((each) => (each as { Val: number }).Val)
  expect(values).toEqual(expect.arrayContaining([1, 5]))
  expect(values).not.toContain(4)
})
