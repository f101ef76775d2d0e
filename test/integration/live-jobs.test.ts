import { once } from 'node:events'
import { type IncomingMessage, type RequestListener, createServer, get } from 'node:http'
import type { AddressInfo } from 'node:net'
import Fastify from 'fastify'
import { serializerCompiler, validatorCompiler } from 'fastify-type-provider-zod'
import { afterEach, expect, test, vi } from 'vitest'
import { type EventStream, openEventStream } from '../../src/producer/event-stream.ts'
import type { JobView } from '../../src/producer/job-view.ts'
import { handleErrors } from '../../src/producer/problem.ts'
import { addStreamRoutes } from '../../src/producer/stream-routes.ts'
import { InputError } from '../../src/shared/errors.ts'
import { viewOfStatus } from '../../src/producer/job-view.ts'
import { createLiveJobs } from '../../src/producer/live-jobs.ts'
import { createJobStatuses } from '../../src/shared/job-status.ts'
import { silent } from '../support/services.ts'
import { useServices } from '../support/use-services.ts'

const services = useServices()
const open: (() => void)[] = []
afterEach(() => {
  for (const close of open.splice(0)) close()
})

/** The newest two of some jobs, looked at often; every look at Redis is counted. */
function system() {
  const statuses = createJobStatuses(services.connect(), services.prefix())
  let looks = 0
  const list = async (offset: number, limit: number) => {
    looks++
    return await statuses.list(offset, limit)
  }
  const view = (status: Parameters<typeof viewOfStatus>[0]) => viewOfStatus(status, 0)
  const live = createLiveJobs(
    { statuses: { list, getAll: statuses.getAll }, view, log: silent },
    { everyMs: 20, newest: 2 },
  )
  return {
    ...{ statuses, live, looks: () => looks },
    add: async (id: string, createdAt: number) =>
      await statuses.create({ id, createdAt, model: 'm@1', source: `https://a/${id}.mp4` }),
    watch(id?: string) {
      const told: { ids: string[]; states: string[]; isSnapshot: boolean }[] = []
      const wakers: (() => void)[] = []
      const tell = (jobs: JobView[], isSnapshot: boolean) => {
        told.push({ ids: jobs.map((job) => job.id), states: jobs.map(({ status }) => status), isSnapshot })
        for (const wake of wakers.splice(0)) wake()
      }
      const leave = live.watch({ ...(id === undefined ? {} : { id }), tell })
      open.push(leave)
      const reaches = async (count: number) => {
        while (told.length < count) await new Promise<void>((resolve) => wakers.push(resolve))
        return told
      }
      return { told, leave, reaches }
    },
  }
}

test('who comes hears of all that is there, then of what has changed; one who watches a job hears of it alone', async () => {
  const { statuses, add, watch } = system()
  for (const [i, id] of ['old', 'middle', 'new'].entries()) await add(id, i + 1)
  const [all, one] = [watch(), watch('old')]
  expect(await all.reaches(1)).toEqual([
    { ids: ['new', 'middle'], states: ['queued', 'queued'], isSnapshot: true },
  ])
  expect(await one.reaches(1)).toEqual([{ ids: ['old'], states: ['queued'], isSnapshot: true }])
  await statuses.advance('middle', 'splitting')
  expect((await all.reaches(2)).at(1)).toEqual({ ids: ['middle'], states: ['splitting'], isSnapshot: false })
  await statuses.advance('old', 'scoring')
  expect((await one.reaches(2)).at(1)).toEqual({ ids: ['old'], states: ['scoring'], isSnapshot: false })
  // Neither heard of the other's.
  expect([all.told.length, one.told.length]).toEqual([2, 2])
})

test('Redis is asked as often for a hundred as for one, and not at all for nobody', async () => {
  const { statuses, add, watch, looks, live } = system()
  await add('job', 1)
  const crowd = Array.from({ length: 100 }, () => watch())
  await Promise.all(crowd.map(async ({ reaches }) => await reaches(1)))
  await statuses.advance('job', 'splitting')
  await Promise.all(crowd.map(async ({ reaches }) => await reaches(2)))
  // Each was told twice: by two looks and those between, not by two hundred.
  expect(looks()).toBeLessThan(100)
  for (const { leave } of crowd) leave()
  expect(live.count()).toBe(0)
  const before = looks()
  // Time for five more turns, had anybody stayed.
  await statuses.advance('job', 'scoring')
  const other = watch('none')
  await other.reaches(1)
  expect(looks() - before).toBeLessThan(5)
})

/** Those who ask a server for something, and read nothing of the answer. */
async function readersOf(answers: RequestListener) {
  const server = createServer(answers).listen(0, '127.0.0.1')
  open.push(
    () => server.closeAllConnections(),
    () => server.close(),
  )
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return async (path: string): Promise<IncomingMessage> => {
    const answer = await new Promise<IncomingMessage>((resolve) => {
      get({ port, host: '127.0.0.1', path }, resolve)
    })
    open.push(() => answer.destroy())
    return answer.on('error', () => {}).pause()
  }
}

test('of what happens while somebody reads nothing, only how each job stands is kept, and told when they read', async () => {
  let stream: EventStream | undefined
  const silentReader = await readersOf((_request, response) => {
    stream = openEventStream(response, {}, () => {})
  })
  const answer = await silentReader('/')
  // Far more than any buffer on the way holds, of two jobs only.
  const ballast = 'x'.repeat(64 << 10)
  for (let i = 0; i <= 2_000; i++) stream?.send('job', `job-${i % 2}`, { i, ballast })
  let text = ''
  answer.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
  stream?.end()
  answer.resume()
  await once(answer, 'end')
  const heard = [...text.matchAll(/"i":(\d+)/g)].map(([, i]) => Number(i))
  expect(heard.length).toBeLessThan(500)
  expect(heard.slice(-2).toSorted((a, b) => a - b)).toEqual([1_999, 2_000])
})

test('who reads nothing for long is let go, at the end as well', async () => {
  const streams: EventStream[] = []
  const gone: string[] = []
  const silentReader = await readersOf(({ url = '' }, response) => {
    const patience = url === '/stalls' ? { stallMs: 50, endMs: 60_000 } : { stallMs: 60_000, endMs: 50 }
    streams.push(openEventStream(response, {}, () => gone.push(url), patience))
  })
  for (const path of ['/stalls', '/ends']) await silentReader(path)
  // More than any buffer on the way holds.
  const ballast = 'x'.repeat(1 << 20)
  for (const stream of streams) for (let i = 0; i < 50; i++) stream.send('job', `job-${i}`, ballast)
  await expect.poll(() => gone).toEqual(['/stalls'])
  streams[1]?.end()
  await expect.poll(() => gone).toEqual(['/stalls', '/ends'])
})

/** The routes alone; a caller is who it says it is. */
async function serve(deps: Parameters<typeof addStreamRoutes>[1], most?: { each: number; all: number }) {
  const app = Fastify({ forceCloseConnections: true })
  open.push(() => void app.close())
  app.setValidatorCompiler(validatorCompiler)
  app.setSerializerCompiler(serializerCompiler)
  app.decorateRequest('client', '')
  app.addHook('onRequest', async (request) => {
    request.client = String(request.headers['client'])
  })
  handleErrors(app)
  addStreamRoutes(app, deps, most)
  return { app, at: await app.listen({ host: '127.0.0.1', port: 0 }) }
}

test('who hangs up before it could be told anything is not told anything for ever', async () => {
  const { live, statuses, add } = system()
  await add('some-job-1', 1)
  const { app, at } = await serve({
    live,
    async view(id) {
      const [status] = await statuses.getAll([id])
      // By the time that the job is found nobody is there any more.
      stop.abort()
      await expect
        .poll(async () => await new Promise((resolve) => app.server.getConnections((_, n) => resolve(n))))
        .toBe(0)
      looked()
      return viewOfStatus(status as NonNullable<typeof status>, 0)
    },
  })
  const stop = new AbortController()
  let looked = () => {}
  const found = new Promise<void>((resolve) => (looked = resolve))
  await expect(fetch(`${at}/v1/jobs/some-job-1/stream`, { signal: stop.signal })).rejects.toThrow(/abort/)
  await found
  await app.close()
  expect(live.count()).toBe(0)
})

test('no token takes all the places of those who watch, and each is given back', async () => {
  const { live } = system()
  const view = async () => await Promise.reject(new InputError('job-unknown', 'There is no such job.'))
  const { at } = await serve({ live, view }, { each: 2, all: 3 })
  const watch = async (client: string, path = '/v1/stream') => {
    const stop = new AbortController()
    const { status } = await fetch(`${at}${path}`, { headers: { client }, signal: stop.signal })
    return { status, stop: () => stop.abort() }
  }
  for (let i = 0; i < 3; i++) expect((await watch('a', '/v1/jobs/some-job-1/stream')).status).toBe(404)
  const [first, second] = [await watch('a'), await watch('a')]
  expect([first.status, second.status]).toEqual([200, 200])
  expect((await watch('a')).status).toBe(429)
  expect((await watch('b')).status).toBe(200)
  // There is no room at all.
  expect((await watch('c')).status).toBe(429)
  first.stop()
  await vi.waitFor(async () => expect((await watch('c')).status).toBe(200), { timeout: 10_000 })
  expect((await watch('a')).status).toBe(429)
})
