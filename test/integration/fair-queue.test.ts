import { Worker } from 'bullmq'
import { expect, test } from 'vitest'
import { createFairOrder, tagUnit, virtualNow } from '../../src/producer/fair-queue.ts'
import { addBatches, addFlow } from '../../src/producer/flow.ts'
import { keepOrderChore } from '../../src/producer/keep-order.ts'
import { openFlows } from '../../src/producer/resume.ts'
import { statusOf } from '../../src/producer/accept-job.ts'
import type { JobSpec, Plan } from '../../src/shared/job.ts'
import { createJobFiles } from '../../src/shared/job-files.ts'
import { entryIds, workerOptions } from '../../src/shared/queues.ts'
import { createRates } from '../../src/shared/rates.ts'
import { planOf, specOf } from '../support/jobs.ts'
import { silent } from '../support/services.ts'
import { closedAfterEach, useServices } from '../support/use-services.ts'

const services = useServices()
const open = closedAfterEach()

const many = (count: number, frames = 10) => Array.from({ length: count }, () => frames)
const signal = new AbortController().signal

/** A queue of batches whose frames take a second each, as was measured, and nothing to set up. */
async function line({ share = 1 } = {}) {
  const prefix = services.prefix()
  const redis = services.connect()
  const files = createJobFiles(await services.container())
  const on = openFlows(redis, { prefix, files, log: silent, share })
  open.push(on)
  const measured = { frames: 1, seconds: 1, setUpSeconds: 0 }
  await createRates(redis, prefix).note({ model: 'm@1', size: '16x16', device: 'cpu' }, measured)
  const waiting = `${prefix}:batch:prioritized`
  const chore = keepOrderChore({ redis, prefix, share, order: on.order })
  const specWith = (id: string, client: string, priority: number) => {
    const spec = specOf(id, { client })
    spec.request.priority = priority
    return spec
  }
  const come = async (id: string, client: string, priority = 5) => {
    await on.backlog.put(id, client, 10)
    await on.statuses.create(statusOf(specWith(id, client, priority)))
  }

  return {
    ...{ on, redis, prefix, waiting, chore },
    /** A job is accepted, but not split yet. */
    come,
    /** Puts the batches of a job on the queue; none is done yet. */
    async add(id: string, batches: number[], { client = id, priority = 5 } = {}): Promise<JobSpec> {
      const spec = specWith(id, client, priority)
      const plan: Plan = { ...planOf(id, 1), frames: batches.reduce((sum, count) => sum + count), batches }
      await come(id, client, priority)
      await addFlow(on, spec)
      await on.statuses.beginScoring(id, plan, new Map())
      await addBatches(on, spec, plan, { committed: async () => new Map() })
      return spec
    },
    /** Which jobs the next `count` claims are for, in order, by so many hands; `meanwhile` is called after each. */
    async claims(count: number, { hands = 1, meanwhile = async (_claimed: string[]) => {} } = {}) {
      const claimed: string[] = []
      const enough = Promise.withResolvers<void>()
      const worker = new Worker(
        'batch',
        async (job) => {
          if (claimed.length >= count) return await enough.promise
          claimed.push(job.id ?? '')
          await meanwhile(claimed)
          if (claimed.length >= count) {
            await worker.pause(true)
            enough.resolve()
          }
          return {}
        },
        { ...workerOptions('batch'), connection: services.connect(), prefix, concurrency: hands },
      )
      await enough.promise
      await worker.close()
      return claimed
    },
    /** Claims so many, and leaves them at work. */
    async taking(count: number): Promise<void> {
      const options = { ...workerOptions('batch'), connection: services.connect(), prefix }
      const worker = new Worker('batch', null, options)
      open.push(worker)
      for (let i = 0; i < count; i++) await worker.getNextJob(`token-${i}`)
    },
    /** Tags of what waits, in the order it will be claimed, with what its hash says. */
    async tags(): Promise<{ entry: string; tag: number; hash: number }[]> {
      const list = await redis.zrange(waiting, '0', '-1', 'WITHSCORES')
      const entries = list.filter((_, i) => i % 2 === 0)
      const hashes = await Promise.all(
        entries.map(async (entry) => await redis.hget(`${prefix}:batch:${entry}`, 'priority')),
      )
      return entries.map((entry, i) => ({
        entry,
        tag: Math.floor(Number(list[2 * i + 1]) / tagUnit),
        hash: Number(hashes[i]),
      }))
    },
  }
}

const jobOf = (entry: string) => entry.split('.')[0] ?? ''
const countOf = (claimed: string[], job: string) => claimed.filter((entry) => jobOf(entry) === job).length
const numbersOf = (claimed: string[], job: string) =>
  claimed.filter((entry) => jobOf(entry) === job).map((entry) => Number(entry.split('.')[1]))

test.each([1, 4])('a clip that comes behind a film is claimed beside it, by %i hands', async (hands) => {
  const { add, claims } = await line()
  await add('the-film-1', many(200))
  await claims(30, { hands })
  await add('the-clip-1', many(5))
  const claimed = await claims(20, { hands })
  // Turn about: all of the clip is claimed within twice its length.
  expect(countOf(claimed.slice(0, 10), 'the-clip-1')).toBeGreaterThanOrEqual(4)
  expect(countOf(claimed.slice(0, 10), 'the-film-1')).toBeGreaterThanOrEqual(4)
  expect(countOf(claimed, 'the-clip-1')).toBe(5)
  expect(new Set(numbersOf(claimed, 'the-clip-1'))).toEqual(new Set([0, 1, 2, 3, 4]))
})

test('who comes while all workers have long batches is owed a share of them: the next that is free is the newcomer’s', async () => {
  const { add, claims, taking, on } = await line()
  await add('the-film-1', many(200))
  await taking(16)
  await add('the-clip-1', many(5))
  expect(countOf(await claims(5), 'the-clip-1')).toBe(5)
  await on.backlog.drop('the-clip-1')
  await add('the-film-2', many(200))
  const claimed = await claims(24)
  // Half of the sixteen, and turn about from then on.
  expect(countOf(claimed.slice(0, 8), 'the-film-2')).toBeGreaterThanOrEqual(7)
  expect(countOf(claimed.slice(8), 'the-film-2')).toBeGreaterThanOrEqual(7)
  expect(countOf(claimed.slice(8), 'the-film-2')).toBeLessThanOrEqual(9)
})

test('a film that comes behind another starves neither', async () => {
  const { add, claims } = await line()
  await add('film-first', many(100))
  await claims(50)
  await add('film-second', many(100))
  const claimed = await claims(40)
  expect(countOf(claimed, 'film-first')).toBeGreaterThanOrEqual(19)
  expect(countOf(claimed, 'film-second')).toBeGreaterThanOrEqual(19)
})

test.each([
  ['by their priorities', { first: 10, second: 5, share: 1, wanted: 20 }],
  ['by their priorities, the other way round', { first: 1, second: 4, share: 1, wanted: 6 }],
  ['by what one may have at most', { first: 10, second: 5, share: 0.5, wanted: 15 }],
])('of thirty claims two clients have shares %s', async (_, { first, second, share, wanted }) => {
  const { add, claims, chore } = await line({ share })
  await add('job-of-two-1', many(100), { client: 'two', priority: second })
  await add('job-of-two-2', many(100), { client: 'two', priority: second })
  await add('job-of-one-1', many(100), { client: 'one', priority: first })
  await chore.run(signal)
  const of = countOf(await claims(30), 'job-of-one-1')
  expect(of).toBeGreaterThanOrEqual(wanted - 2)
  expect(of).toBeLessThanOrEqual(wanted + 2)
})

test('a client with thirty jobs has no more than one with a single job', async () => {
  const { add, claims, chore } = await line()
  for (let i = 10; i < 40; i++) await add(`one-of-many-${i}`, many(10), { client: 'many' })
  await add('job-of-one-1', many(100), { client: 'one' })
  expect(await chore.run(signal)).not.toEqual({ moved: 0 })
  const of = countOf(await claims(60), 'job-of-one-1')
  expect(of).toBeGreaterThanOrEqual(27)
  expect(of).toBeLessThanOrEqual(33)
  // It stands as it should, and nothing is written for nothing.
  expect(await chore.run(signal)).toEqual({ moved: 0 })
})

test('a burst of clips that is in line before any of it is split goes turn about with a film', async () => {
  const { add, come, claims, tags } = await line()
  await add('the-film-1', many(200))
  const clips = Array.from({ length: 30 }, (_, i) => `burst-clip-${i + 10}`)
  for (const id of clips) await come(id, 'many')
  await claims(10)
  for (const id of clips) await add(id, many(1), { client: 'many' })
  const begins = (await tags()).filter(({ entry }) => jobOf(entry) !== 'the-film-1').map(({ tag }) => tag)
  expect(new Set(begins).size).toBe(30)
  const claimed = await claims(40)
  for (const part of [claimed.slice(0, 20), claimed.slice(20)]) {
    expect(countOf(part, 'the-film-1')).toBeGreaterThanOrEqual(8)
    expect(countOf(part, 'the-film-1')).toBeLessThanOrEqual(12)
  }
})

test.each([2, 14])(
  'a client that always has %i clips in line has no more than its half beside a film',
  async (inLine) => {
    const { add, claims, on } = await line()
    await add('the-film-1', many(200))
    await claims(10)
    let clips = 0
    const addClip = async () => await add(`a-new-clip-${clips++}`, many(1), { client: 'many' })
    while (clips < inLine) await addClip()
    const claimed = await claims(60, {
      async meanwhile(so) {
        const job = jobOf(so.at(-1) ?? '')
        if (job === 'the-film-1') return
        await on.backlog.drop(job)
        await addClip()
      },
    })
    expect(countOf(claimed.slice(20), 'the-film-1')).toBeGreaterThanOrEqual(17)
    expect(countOf(claimed.slice(20), 'the-film-1')).toBeLessThanOrEqual(23)
  },
)

test('an urgent job does not wait for all that its client has in line', async () => {
  const { add, claims, chore } = await line()
  await add('the-film-1', many(200))
  for (let i = 10; i < 40; i++) await add(`usual-clip-${i}`, many(4), { client: 'many' })
  await add('urgent-clip', many(1), { client: 'many', priority: 10 })
  await chore.run(signal)
  expect(await claims(45)).toContain(entryIds.batch('urgent-clip', 0))
})

test('copies at work do not move the time at which a newcomer begins', async () => {
  const { add, taking, tags, on } = await line()
  await add('the-film-1', many(40))
  await taking(4)
  const copy = (index: number) => ({
    ...{ jobId: 'the-film-1', index, first: index * 10, count: 10, copyOf: 'somebody' },
  })
  for (let index = 0; index < 9; index++)
    await on.queues.batch.add('batch', copy(index), {
      ...{ jobId: entryIds.copy('the-film-1', index), priority: 1 },
    })
  const next = (await tags()).find(({ entry }) => !entry.endsWith('.copy'))?.tag ?? 0
  await taking(8)
  await add('the-clip-1', many(2))
  const clip = (await tags()).find(({ entry }) => jobOf(entry) === 'the-clip-1')
  // Half of the four that are at work.
  expect(clip?.tag).toBe(next - 20)
})

test('what is given back keeps its place, and what is tried again later is not behind those that came meanwhile', async () => {
  const { add, claims, on, tags } = await line()
  await add('the-film-1', many(40))
  await claims(38)
  const [next, last] = await tags()
  expect(next).toMatchObject({ entry: entryIds.batch('the-film-1', 38), hash: next?.tag })
  const worker = new Worker('batch', null, {
    ...workerOptions('batch'),
    ...{ connection: services.connect(), prefix: on.prefix },
  })
  open.push(worker)
  const back = await worker.getNextJob('token')
  await back?.moveToWait('token')
  expect(await tags()).toEqual([next, last])

  // Both are claimed and to be tried again: the queue is dry when the other film comes.
  const taken = [await worker.getNextJob('a'), await worker.getNextJob('b')]
  await taken[0]?.moveToDelayed(Date.now() + 1, 'a')
  await taken[1]?.moveToDelayed(Date.now() + 1, 'b')
  expect(await tags()).toEqual([])
  await add('the-film-2', many(40))
  const claimed = await claims(4)
  expect(claimed.slice(0, 3)).toEqual(expect.arrayContaining([next?.entry, last?.entry]))
})

test('late times are set back while workers claim and jobs come, and all is claimed once', async () => {
  const { add, claims, chore, redis, prefix, waiting, tags } = await line()
  await add('the-film-1', many(700))
  await add('the-film-2', many(700))
  const by = 1_100_000
  for (const { entry, tag } of await tags()) {
    await redis.zincrby(waiting, by * tagUnit, entry)
    await redis.hset(`${prefix}:batch:${entry}`, 'priority', tag + by)
  }
  expect(await virtualNow(redis, prefix)).toBeGreaterThan(by)
  let turn: Promise<unknown> | undefined
  const claimed = await claims(1_410, {
    hands: 4,
    async meanwhile(so) {
      if (so.length === 5) turn = chore.run(signal)
      if (so.length === 20) await add('the-clip-1', many(10))
    },
  })
  await turn
  expect(new Set(claimed).size).toBe(1_410)
  expect(numbersOf(claimed, 'the-clip-1')).toHaveLength(10)
  for (const film of ['the-film-1', 'the-film-2']) {
    const numbers = numbersOf(claimed, film)
    // In the order of the video, but for four hands that note their claims side by side.
    expect(numbers.every((number, i) => Math.abs(number - i) < 8)).toBe(true)
  }
})

test('a turn of setting back leaves no late time behind, on the queue or in what may come back to it', async () => {
  const { add, chore, redis, prefix, waiting, tags } = await line()
  await add('the-film-1', many(1_200))
  const by = 1_100_000
  const before = await tags()
  for (const { entry, tag } of before) {
    await redis.zincrby(waiting, by * tagUnit, entry)
    await redis.hset(`${prefix}:batch:${entry}`, 'priority', tag + by)
  }
  const worker = new Worker('batch', null, {
    ...workerOptions('batch'),
    connection: services.connect(),
    prefix,
  })
  open.push(worker)
  const job = await worker.getNextJob('token')
  expect(await chore.run(signal)).toEqual({ moved: 1_199 })
  // What goes next begins anew.
  const wanted = before.slice(1).map(({ entry, tag }) => ({ entry, tag: tag - 10, hash: tag - 10 }))
  expect(await tags()).toEqual(wanted)
  await job?.moveToWait('token')
  expect((await tags())[0]).toEqual({ entry: job?.id, tag: 1, hash: 1 })
})

test('scores that nobody can have given do not move the time', async () => {
  const { add, redis, prefix, waiting, tags } = await line()
  await add('the-film-1', many(50))
  const claimed = await redis.zpopmin(waiting, 10)
  expect(claimed).toHaveLength(20)
  const now = await virtualNow(redis, prefix)
  expect(now).toBe(101)
  const scores = ['-inf', 'inf', '1e300', '-5', '0', String(2 ** 60)]
  for (const [i, score] of scores.entries()) await redis.zadd(waiting, score, `garbage-${i}.00000${i}`)
  await redis.zadd(waiting, 7 * tagUnit, 'not an id')
  expect(await virtualNow(redis, prefix)).toBe(now)
  await add('the-clip-1', many(2))
  const clip = (await tags()).filter(({ entry }) => jobOf(entry) === 'the-clip-1')
  expect(clip.map(({ tag }) => tag)).toEqual([101, 111])
  await redis.del(waiting)
  await redis.set(waiting, 'not a sorted set')
  expect(await virtualNow(redis, prefix)).toBe(0)
})

/** Accepts jobs, and splits those that come first. */
async function splitting() {
  const { on, redis, prefix } = await line()
  const order = createFairOrder({ redis, prefix, share: 1 })
  const options = { ...workerOptions('split'), connection: services.connect(), prefix }
  const worker = new Worker('split', null, options)
  open.push(worker)
  return {
    async accept(id: string, client: string) {
      await on.backlog.put(id, client, 1)
      await addFlow({ flows: on.flows, order }, specOf(id, { client }))
    },
    async take() {
      const taken = await worker.getNextJob('token')
      await taken?.moveToCompleted({}, 'token', false)
      return taken?.id
    },
  }
}

test('the more jobs a client has in line, the later they are split, so that others come between', async () => {
  const { accept, take } = await splitting()
  for (let i = 1; i <= 20; i++) await accept(`of-many-${i + 10}`, 'many')
  await accept('of-one-job', 'one')
  expect([await take(), await take(), await take()]).toContain('of-one-job.split')
})

test('the last of many splits does not wait for ever for those who come later', async () => {
  const { accept, take } = await splitting()
  for (let i = 1; i <= 20; i++) await accept(`of-many-${i + 10}`, 'many')
  const taken: (string | undefined)[] = []
  // As fast as splits are done, one comes of somebody who has no other.
  for (let i = 100; i < 320; i++) {
    await accept(`of-other-${i}`, `other-${i}`)
    taken.push(await take())
  }
  expect(taken.filter((id) => id?.startsWith('of-many'))).toHaveLength(20)
})
