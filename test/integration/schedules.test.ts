import Fastify from 'fastify'
import { serializerCompiler, validatorCompiler } from 'fastify-type-provider-zod'
import { expect, test, vi } from 'vitest'
import { handleErrors } from '../../src/producer/problem.ts'
import { openSchedules } from '../../src/producer/schedules/open-schedules.ts'
import type { Run } from '../../src/producer/schedules/schedule.ts'
import { addScheduleRoutes } from '../../src/producer/schedules/schedule-routes.ts'
import { schedulesChore, startWakes } from '../../src/producer/schedules/wakes.ts'
import { createRegistry, createWorkMetrics } from '../../src/shared/metrics.ts'
import { createJobFiles } from '../../src/shared/job-files.ts'
import { layout } from '../../src/shared/layout.ts'
import { openQueue } from '../../src/shared/open-queue.ts'
import { startArrivals } from '../support/arrivals.ts'
import { reportFor } from '../support/jobs.ts'
import { silent } from '../support/services.ts'
import { tempDir } from '../support/temp-dir.ts'
import { closedAfterEach, useServices } from '../support/use-services.ts'

const dir = tempDir()
const services = useServices()
const opened = closedAfterEach()

const hourly = {
  cron: '0 * * * *',
  timezone: 'UTC',
  overlap: 'skip' as const,
  job: { source: { name: 'in/film.mp4' }, model: 'passthrough', output: { name: 'out/{hh}.mp4' } },
}
const noon = Date.parse('2026-03-01T12:00:00Z')
const minutes = (n: number) => n * 60_000

/** A producer's schedules, at a time that the test sets; nothing of a job is done. */
async function start(clientJobs = 100) {
  const parts = await startArrivals(services, { dir, clientJobs })
  opened.push(parts)
  const { accept, flows, system, files } = parts
  const { redis, prefix } = flows
  let time = noon
  const now = () => time
  const producer = () => {
    const queue = openQueue('schedule', { connection: redis, prefix })
    const schedules = { ...openSchedules({ accept, resume: flows, system, queue, log: silent }), now }
    const chore = schedulesChore({ ...schedules, redis, prefix }, 30_000)
    opened.push(queue, chore)
    const look = async () => await chore.run(new AbortController().signal)
    return { ...schedules, look }
  }
  const first = producer()
  await parts.land('in/film.mp4')
  const history = async () =>
    (await first.store.runsOf('hourly')).map(({ at, outcome }) => `${at.slice(11, 16)} ${outcome}`)
  return {
    ...{ ...parts, ...first, prefix, producer, history },
    /** Goes to so many minutes after noon, and looks. */
    async at(after: number) {
      time = noon + minutes(after)
      return await first.look()
    },
    set: async (some: object = {}) =>
      await first.store.set('hourly', { ...hourly, ...some }, noon - minutes(30)),
    async last(): Promise<Run> {
      return (await first.store.runsOf('hourly')).at(-1) as Run
    },
    /** The job of the last run comes to its end. */
    async end() {
      const { jobId = '' } = (await first.store.runsOf('hourly')).findLast((run) => run.jobId) ?? {}
      await files.writeReport(reportFor(await files.spec(jobId), 'succeeded'))
      await flows.backlog.drop(jobId)
    },
  }
}

test('a run starts its job once, however many producers look, with its time in it', async () => {
  const { set, at, jobs, history, producer, files, last, media } = await start()
  await set()
  expect(await at(-1)).toMatchObject({ runs: 0 })
  const others = [producer(), producer()]
  await Promise.all([at(0), ...others.map(async ({ look }) => await look())])
  await at(1)
  expect(await jobs()).toMatchObject([{ source: 'in/film.mp4' }])
  expect(await history()).toEqual(['12:00 started'])
  const spec = await files.spec((await last()).jobId ?? '')
  expect(spec).toMatchObject({
    client: 'schedule.hourly',
    request: { output: { url: media.url('out/12.mp4') } },
  })
})

test('after a pause the latest run is made up for, once, and the others are counted', async () => {
  const { set, at, history, last, jobs } = await start()
  await set()
  await at(5 * 60 + 20)
  await at(5 * 60 + 21)
  expect(await history()).toEqual(['17:00 started'])
  expect(await last()).toMatchObject({ missed: 5 })
  expect(await jobs()).toHaveLength(1)
})

test('a clock that was far ahead, and is right again, holds no run up', async () => {
  const { set, at, history, end, store } = await start()
  await set()
  await at(60 * 24 * 400)
  await end()
  await at(0)
  await end()
  await at(60)
  expect((await history()).slice(1)).toEqual(['12:00 started', '13:00 started'])
  // One that was set by such a clock goes on from where the others are.
  await end()
  await store.remove('hourly')
  await store.set('hourly', hourly, noon + minutes(60 * 24 * 400))
  await at(121)
  await end()
  await at(180)
  expect(await history()).toEqual(['14:00 started', '15:00 started'])
})

test('while a job goes on runs are skipped', async () => {
  const { set, at, history, last, end } = await start()
  await set()
  await at(0)
  await at(60)
  expect(await last()).toMatchObject({ why: expect.stringMatching(/^The job .* had not ended\.$/) as string })
  await end()
  await at(120)
  expect(await history()).toEqual(['12:00 started', '13:00 skipped', '14:00 started'])
})

test('or wait for it, one by one', async () => {
  const { set, at, history, end, jobs } = await start()
  await set({ overlap: 'queue' })
  await at(0)
  await at(60)
  await at(120)
  expect(await history()).toEqual(['12:00 started', '13:00 waiting', '14:00 waiting'])
  await end()
  await at(121)
  expect(await history()).toEqual(['12:00 started', '14:00 waiting', '13:00 started'])
  await at(122)
  expect(await jobs()).toHaveLength(2)
  await end()
  await at(123)
  expect(await history()).toEqual(['12:00 started', '13:00 started', '14:00 started'])
})

test('or take its place', async () => {
  const { set, at, history, last, flows } = await start()
  await set({ overlap: 'cancel' })
  await at(0)
  const { jobId: before = '' } = await last()
  await at(60)
  expect(await last()).toMatchObject({ outcome: 'started', instead: [before] })
  expect(await history()).toEqual(['12:00 started', '13:00 started'])
  expect(await flows.statuses.get(before)).toMatchObject({ halt: 'cancelled' })
})

test('also that of one which was to take it, and came to nothing before it had', async () => {
  const { set, at, history, last, flows, store } = await start()
  await set({ overlap: 'cancel' })
  await at(0)
  const { jobId: first = '' } = await last()
  const time = new Date(noon + minutes(30)).toISOString()
  const broken = { key: 'by hand', at: time, firedAt: time, by: 'hand', outcome: 'starting' } as const
  await store.changeRuns('hourly', (runs) => [...runs, { ...broken, jobId: 'none-there', instead: [first] }])
  await at(60)
  expect(await history()).toEqual(['12:00 started', '12:30 skipped', '13:00 started'])
  expect(await flows.statuses.get(first)).toMatchObject({ halt: 'cancelled' })
})

test('a job that another producer has removed holds no run up', async () => {
  const { set, at, history, last, files, media } = await start()
  await set()
  await at(0)
  const { jobId = '' } = await last()
  await files.spec(jobId)
  await createJobFiles(media).removeJob(jobId)
  await at(60)
  expect(await history()).toEqual(['12:00 started', '13:00 started'])
})

test('a run by hand that Redis is not there for is made once it is, without being asked for again', async () => {
  const { set, at, history, fire, redis, store, jobs } = await start()
  const schedule = await set()
  redis.disconnect()
  expect(await fire.runNow('hourly', schedule, noon)).toMatchObject({ by: 'hand', outcome: 'starting' })
  await redis.connect()
  await at(-1)
  expect(await history()).toEqual(['12:00 started'])
  expect(await jobs()).toHaveLength(1)
  expect(await store.runsOf('hourly')).toHaveLength(1)
})

test('what was decided is done by whoever comes next, and a job that is refused says why', async () => {
  const { set, at, history, store, last, jobs } = await start()
  await set()
  await at(0)
  // As it is left by a producer that died before the job was accepted, and by one that died after.
  await store.changeRuns('hourly', (runs) => runs.map((run) => ({ ...run, outcome: 'starting' })))
  await at(1)
  expect(await history()).toEqual(['12:00 started'])
  expect(await jobs()).toHaveLength(1)
  await store.remove('hourly')
  await set({ job: { ...hourly.job, source: { name: 'in/{hh}.mp4' } } })
  await at(60)
  expect(await history()).toEqual(['13:00 refused'])
  expect((await last()).why).toMatch(/^The source \S+\/in\/13\.mp4 is not there \(404\)/)
})

test('a run that finds no room waits for it', async () => {
  const { set, at, history, end, flows } = await start(1)
  await flows.backlog.put('0-another-job', 'schedule.hourly', 1)
  await set()
  await at(0)
  await at(1)
  expect(await history()).toEqual(['12:00 starting'])
  await flows.backlog.drop('0-another-job')
  await at(2)
  expect(await history()).toEqual(['12:00 started'])
  await end()
})

test('BullMQ wakes two producers; wiped or broken, its schedulers are made anew', async () => {
  const { store, fire, jobs, redis, prefix, queue, producer } = await start()
  // No time that the API takes: those are by the minute.
  const schedule = { v: 1 as const, ...hourly, cron: '* * * * * *', since: new Date().toISOString() }
  let set = [{ id: 'hourly', schedule }]
  const stored = { ...store, find: async () => schedule, all: async () => ({ schedules: set, left: [] }) }
  const chore = schedulesChore(
    { ...{ store: stored, fire, redis, prefix, log: silent }, now: () => noon },
    30_000,
  )
  opened.push(chore)
  const look = async () => await chore.run(new AbortController().signal)
  for (const each of [producer(), producer()]) {
    const wakes = startWakes(
      { store: stored, fire: each.fire, log: silent },
      { redis: services.connect(), prefix, metrics: createWorkMetrics(createRegistry('test')) },
    )
    opened.push({ close: async () => await wakes.stop(1_000) })
  }
  const runsMade = async () => (await store.runsOf('hourly')).length
  const moreRuns = async () => {
    const before = await runsMade()
    await vi.waitFor(async () => expect(await runsMade()).toBeGreaterThan(before + 1), {
      timeout: 15_000,
      interval: 50,
    })
  }
  await look()
  await moreRuns()
  await redis.flushall()
  await look()
  expect(await queue.getJobSchedulersCount()).toBe(1)
  await moreRuns()
  await redis.multi().del(queue.toKey('repeat')).set(queue.toKey('repeat'), 'x').exec()
  await look()
  await moreRuns()
  const runs = await store.runsOf('hourly')
  expect(new Set(runs.map(({ at }) => at)).size).toBe(runs.length)
  // The first goes on all the time.
  expect(await jobs()).toHaveLength(1)
  set = []
  await look()
  expect(await queue.getJobSchedulersCount()).toBe(0)
})

test('one schedule that can be put on nowhere holds up neither the runs nor the wakes of the others', async () => {
  const { store, fire, history, set, redis, prefix, queue } = await start()
  const schedule = await set()
  const broken = { id: 'a-broken-one', schedule: { ...schedule, cron: 'at noon' } }
  const all = async () => await Promise.resolve({ schedules: [broken, { id: 'hourly', schedule }], left: [] })
  const deps = { store: { ...store, all }, fire, redis, prefix, log: silent, now: () => noon }
  const chore = schedulesChore(deps, 30_000)
  opened.push(chore)
  expect(await chore.run(new AbortController().signal)).toEqual({ set: 1, runs: 1 })
  expect(await history()).toEqual(['12:00 started'])
  expect((await queue.getJobSchedulers()).map(({ key }) => key)).toEqual(['hourly'])
})

test('a schedule is set, shown, run by hand and removed over the API', async () => {
  const parts = await start()
  const app = Fastify({ bodyLimit: 64 << 10 })
  opened.push(app)
  app.setValidatorCompiler(validatorCompiler)
  app.setSerializerCompiler(serializerCompiler)
  handleErrors(app)
  addScheduleRoutes(app, parts)
  const call = async (method: 'GET' | 'PUT' | 'POST' | 'DELETE', url: string, body?: object) => {
    const answer = await app.inject({ method, url, ...(body ? { body } : {}) })
    return { status: answer.statusCode, ...(answer.body ? answer.json<object>() : {}) } as {
      [key: string]: unknown
      status: number
    }
  }
  const path = '/v1/schedules/hourly'
  expect(await call('PUT', path, { ...hourly, cron: '61 * * * *' })).toMatchObject({
    ...{ status: 400, code: 'bad-request' },
    detail: "cron: can't be used (Constraint error, got value 61 expected range 0-59)",
  })
  expect(await call('PUT', path, { ...hourly, job: { ...hourly.job, model: 'no-such' } })).toMatchObject({
    ...{ status: 422, code: 'unknown-model' },
  })
  expect(await call('GET', path)).toMatchObject({ status: 404, code: 'schedule-unknown' })
  // Larger than what other requests may be.
  const list = Array.from({ length: 1_000 }, (_, i) => parts.media.url(`in/${'x'.repeat(100)}/${i}.png`))
  const images = { source: { images: { list } }, model: 'passthrough' }
  expect(await call('PUT', path, { ...hourly, job: images })).toMatchObject({ status: 200 })
  expect(await call('PUT', path, hourly)).toMatchObject({
    ...{ status: 200, id: 'hourly', lastRun: null, nextRun: '2026-03-01T13:00:00.000Z' },
  })
  expect(await parts.queue.getJobScheduler('hourly')).toMatchObject({ pattern: '0 * * * *', tz: 'UTC' })
  expect(await call('POST', `${path}/run`, { at: '2026-03-02T00:00:00Z' })).toMatchObject({ status: 422 })
  const run = await call('POST', `${path}/run`, {})
  expect(run).toMatchObject({ status: 200, at: '2026-03-01T12:00:00.000Z', by: 'hand', outcome: 'started' })
  expect(await call('POST', `${path}/run`, { at: '2026-03-01T05:00:00Z' })).toMatchObject({
    outcome: expect.stringMatching(/skipped|started/) as string,
  })
  const { status: _, ...made } = run
  expect(await call('GET', path)).toMatchObject({ runs: expect.arrayContaining([made]) as unknown })
  expect(await call('GET', '/v1/schedules')).toMatchObject({ schedules: [{ id: 'hourly' }] })
  expect(await call('DELETE', path)).toEqual({ status: 204 })
  expect(await call('DELETE', path)).toMatchObject({ status: 404 })
  expect(await parts.queue.getJobSchedulersCount()).toBe(0)
  const left = []
  for await (const { name } of parts.system.list(layout.schedules)) left.push(name)
  expect(left).toEqual([])
})
