import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { type IncomingMessage, type ServerResponse, createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Writable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { promisify } from 'node:util'
import { pino } from 'pino'
import { expect, test } from 'vitest'
import { type Notice, watchScheduledEvents } from '../../src/worker/scheduled-events.ts'
import { silent } from '../support/services.ts'
import { closedAfterEach } from '../support/use-services.ts'

const opened = closedAfterEach()

/** A document, a status, or nothing: it hangs up. */
type Answer = string | number | null
type Asked = { method: string; url: string; metadata: string | undefined; body: string }

/**
 * Azure's metadata service of a machine, as its pages describe it ("Azure Instance Metadata Service"; "Scheduled Events for
 * Linux VMs", 2020-07-01): it answers nobody without the header, and nobody who came through a proxy. Says one after the other
 * of `documents`, the last one for ever.
 */
async function startImds(documents: Answer[], { acknowledges = 200 } = {}) {
  const asked: Asked[] = []
  let looks = 0
  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = '', url = '', headers } = request
    asked.push({ method, url, metadata: String(headers['metadata']), body: await text(request) })
    if (headers['metadata'] !== 'true' || headers['x-forwarded-for'] !== undefined || url.startsWith('http'))
      return void response.writeHead(400).end('{"error": "Bad request"}')
    if (url === '/metadata/instance/compute/name?api-version=2021-02-01&format=text')
      return void response.end('WestNO_0')
    if (url !== '/metadata/scheduledevents?api-version=2020-07-01') return void response.writeHead(404).end()
    if (method === 'POST') return void response.writeHead(acknowledges).end()
    const says = documents[Math.min(looks++, documents.length - 1)] ?? null
    if (says === null) request.socket.destroy()
    else if (typeof says === 'number') response.writeHead(says).end('{"error": "later"}')
    else response.setHeader('content-type', 'application/json').end(says)
  }
  const server = createServer((request, response) => void answer(request, response)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  opened.push({
    async close() {
      server.close()
      server.closeAllConnections()
    },
  })
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return { url, asked, looks: () => looks }
}

/** A document with one event of each machine that it is of, with all that a real one has. */
function documentOf(type: string, more: Record<string, unknown> = {}): string {
  return JSON.stringify({
    DocumentIncarnation: 2,
    Events: [
      {
        EventId: 'C7061BAC-AFDC-4513-B24B-AA5F13A16123',
        EventStatus: 'Scheduled',
        EventType: type,
        ResourceType: 'VirtualMachine',
        Resources: ['WestNO_0', 'WestNO_1'],
        NotBefore: new Date(Date.now() + 30_000).toUTCString(),
        Description: 'What is going to happen, in words.',
        EventSource: 'Platform',
        DurationInSeconds: -1,
        ...more,
      },
    ],
  })
}
const nothing = '{"DocumentIncarnation": 1, "Events": []}'

function watch(url: string, log = silent) {
  const notices: Notice[] = []
  const machines: string[] = []
  const stop = new AbortController()
  opened.push({ close: async () => stop.abort() })
  const watching = watchScheduledEvents(url, log, {
    signal: stop.signal,
    async onLook(machine) {
      machines.push(machine)
    },
    onNotice: (notice) => void notices.push(notice),
  })
  return { ...watching, notices, machines }
}

test.each([
  ['Preempt', {}, true],
  ['Terminate', { EventSource: 'User' }, true],
  ['Reboot', {}, true],
  ['Redeploy', {}, true],
  ['Reboot', { EventStatus: 'Started', NotBefore: '' }, true],
  ['Freeze', { DurationInSeconds: 5 }, false],
  ['Preempt', { Resources: ['WestNO_1'] }, false],
])('the document of a %s with %j is news: %s', async (type, more, isNews) => {
  const imds = await startImds([documentOf(type, more)])
  const { doomed, notices, machines } = watch(imds.url)
  expect(await doomed).toBe(isNews)
  expect(machines[0]).toBe('WestNO_0')
  expect(notices.map(({ eventId, type: said }) => [eventId, said])).toEqual(
    isNews ? [['C7061BAC-AFDC-4513-B24B-AA5F13A16123', type]] : [],
  )
  for (const { withinMs } of notices) expect(withinMs).toBeLessThanOrEqual(25_000)
})

test('whatever it answers it is asked on, which is said once; what it tells then is told once', async () => {
  const lines: string[] = []
  const sink = new Writable({
    write(line: Buffer, _, done) {
      lines.push((JSON.parse(line.toString()) as { msg: string }).msg)
      done()
    },
  })
  // Gone for a moment, asked too often, broken; nonsense; and a document of a shape that nobody promised.
  const bad: Answer[] = [410, 429, 500, '<html>', null, '{"Events": [{"EventType": 7}]}']
  const imds = await startImds([...bad, documentOf('Preempt'), documentOf('Preempt')])
  const { doomed, notices } = watch(imds.url, pino(sink))
  expect(await doomed).toBe(false)
  await expect.poll(imds.looks, { timeout: 20_000 }).toBeGreaterThan(bad.length + 1)
  expect(notices).toHaveLength(1)
  expect(lines).toEqual(['scheduled events are not heard; asking on', 'scheduled events are heard again'])
  expect(imds.asked.filter(({ metadata }) => metadata !== 'true')).toEqual([])
})

test('an event is acknowledged by its id; that this is refused harms nobody', async () => {
  const notice = { eventId: 'C7061BAC-AFDC-4513-B24B-AA5F13A16123', type: 'Preempt', withinMs: 0 }
  const posts = async (acknowledges: number) => {
    const imds = await startImds([nothing], { acknowledges })
    const { acknowledge, doomed } = watch(imds.url)
    expect(await doomed).toBe(false)
    await acknowledge(notice)
    return imds.asked.filter(({ method }) => method === 'POST')
  }
  const post = {
    ...{ method: 'POST', url: '/metadata/scheduledevents?api-version=2020-07-01', metadata: 'true' },
    body: '{"StartRequests":[{"EventId":"C7061BAC-AFDC-4513-B24B-AA5F13A16123"}]}',
  }
  expect(await posts(200)).toEqual([post])
  expect(await posts(500)).toEqual([post])
})

test('no proxy is asked, whatever the environment says', async () => {
  const imds = await startImds([nothing])
  let proxied = 0
  const proxy = createServer((_, response) => {
    proxied++
    response.writeHead(502).end()
  }).listen(0, '127.0.0.1')
  await once(proxy, 'listening')
  opened.push({ close: async () => void proxy.close() })
  const proxyUrl = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`
  const run = async (script: string) =>
    await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script, imds.url], {
      cwd: import.meta.dirname,
      env: { PATH: process.env['PATH'], NODE_USE_ENV_PROXY: '1', HTTP_PROXY: proxyUrl, http_proxy: proxyUrl },
    })
  // The environment does what it says to everybody else.
  await run('await fetch(process.argv[1])')
  expect(proxied).toBe(1)
  const module = new URL('../../src/worker/scheduled-events.ts', import.meta.url)
  const { stdout } = await run(
    `const { readMachineName } = await import(${JSON.stringify(module.href)}); console.log(await readMachineName(process.argv[1]))`,
  )
  expect(stdout).toBe('WestNO_0\n')
  expect(proxied).toBe(1)
})
