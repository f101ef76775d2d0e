import { expect, test } from 'vitest'
import { createIncidents, incidentKeys } from '../../src/shared/incidents.ts'
import { createJobStatuses } from '../../src/shared/job-status.ts'
import { someIncident } from '../support/jobs.ts'
import { useServices } from '../support/use-services.ts'

const services = useServices()

async function aJob() {
  const redis = services.connect()
  const prefix = services.prefix()
  const statuses = createJobStatuses(redis, prefix)
  await statuses.create({ id: 'job', createdAt: 1_000, model: 'm@1', source: 's' })
  return { statuses, redis, prefix }
}

test('a batch counts once, however often it is committed', async () => {
  const { statuses } = await aJob()
  await statuses.advance('job', 'scoring', { framesTotal: 100 })
  await Promise.all([1, 2, 3].map(async () => await statuses.commit('job', 7, 40)))
  await statuses.commit('job', 8, 10)
  expect(await statuses.get('job')).toMatchObject({ framesDone: 50, framesTotal: 100, state: 'scoring' })
})

test('several jobs are told of in one trip, each as when it is asked for alone; what is none of them is nothing', async () => {
  const { statuses, redis, prefix } = await aJob()
  await statuses.create({ id: 'other', createdAt: 2_000, model: 'n@2', source: 't' })
  await statuses.progress('other', 1, 12)
  await redis.set(`${prefix}:job:broken`, 'no hash')
  expect(await statuses.getAll(['other', 'nobody', 'broken', 'job'])).toEqual([
    await statuses.get('other'),
    undefined,
    undefined,
    await statuses.get('job'),
  ])
})

test('the time of workers adds up, whatever came of it; a job that is not known has none', async () => {
  const { statuses } = await aJob()
  await Promise.all([1_200.4, 300].map(async (ms) => await statuses.worked('job', ms)))
  await statuses.worked('nobody', 500)
  expect(await statuses.get('job')).toMatchObject({ workedMs: 1_500 })
  expect(await statuses.get('nobody')).toBeUndefined()
})

test('frames under way are counted until their batch is committed, given back or failed', async () => {
  const { statuses } = await aJob()
  await statuses.advance('job', 'scoring', { framesTotal: 100 })
  await statuses.progress('job', 1, 12)
  await statuses.progress('job', 2, 5)
  expect(await statuses.get('job')).toMatchObject({ framesDone: 17 })
  await statuses.commit('job', 1, 40)
  await statuses.release('job', 2)
  expect(await statuses.get('job')).toMatchObject({ framesDone: 40 })
})

test('the first halt keeps its word, and working batches hear it', async () => {
  const { statuses } = await aJob()
  expect(await statuses.progress('job', 0, 1)).toBeUndefined()
  expect(await statuses.halt('job', 'failed', { code: 'damaged', message: 'why' })).toBe('failed')
  expect(await statuses.halt('job', 'cancelled')).toBe('failed')
  expect(await statuses.progress('job', 0, 2)).toBe('failed')
  expect(await statuses.get('job')).toMatchObject({
    halt: 'failed',
    errorCode: 'damaged',
    error: 'why',
    framesDone: 1,
  })
})

test('an end is an end', async () => {
  const { statuses, redis, prefix } = await aJob()
  await statuses.progress('job', 0, 1)
  expect(await statuses.end('job', 'cancelled', {})).toBe(true)
  expect(await statuses.advance('job', 'scoring')).toBe(false)
  expect(await statuses.end('job', 'succeeded', {})).toBe(false)
  expect((await statuses.get('job'))?.state).toBe('cancelled')
  expect(await redis.keys(`${prefix}:job:*`)).toEqual([`${prefix}:job:job`])
  expect(await redis.ttl(`${prefix}:job:job`)).toBeGreaterThan(86_400)
})

test('a halt comes too late for a job that is being published, has ended, or is not known', async () => {
  const { statuses, redis, prefix } = await aJob()
  expect(await statuses.beginPublishing('job')).toBeUndefined()
  expect(await statuses.halt('job', 'cancelled')).toBe('too late')
  await statuses.end('job', 'succeeded', {})
  expect(await statuses.halt('job', 'cancelled')).toBe('too late')
  expect(await statuses.halt('another', 'cancelled')).toBe('unknown')
  expect(await redis.exists(`${prefix}:job:another`)).toBe(0)
})

test('a job that was halted is not published', async () => {
  const { statuses } = await aJob()
  await statuses.halt('job', 'cancelled')
  expect(await statuses.beginPublishing('job')).toBe('cancelled')
})

test('a job that has ended, or whose halt word may be lost, is not published', async () => {
  const { statuses, redis, prefix } = await aJob()
  expect(await statuses.beginPublishing('another')).toBe('unknown')
  expect(await redis.exists(`${prefix}:job:another`)).toBe(0)
  // What is left is what its stitch noted after the rest was lost.
  await statuses.advance('another', 'stitching')
  expect(await statuses.beginPublishing('another')).toBe('unknown')
  await statuses.create({ id: 'another', createdAt: 1, model: 'm@1', source: 's', halt: 'cancelled' })
  expect(await statuses.beginPublishing('another')).toBe('cancelled')
  await statuses.end('job', 'failed', {})
  expect(await statuses.beginPublishing('job')).toBe('ended')
})

test('a worker that comes too late brings nothing back', async () => {
  const { statuses, redis, prefix } = await aJob()
  await statuses.end('job', 'failed', {})
  await statuses.commit('job', 3, 10)
  expect(await redis.keys(`${prefix}:job:*`)).toEqual([`${prefix}:job:job`])
})

test('creating a job again changes nothing', async () => {
  const { statuses } = await aJob()
  await statuses.advance('job', 'scoring')
  await statuses.create({ id: 'job', createdAt: 2_000, model: 'other', source: 'other' })
  expect(await statuses.get('job')).toMatchObject({ state: 'scoring', createdAt: 1_000, model: 'm@1' })
  expect(await statuses.list(0, 10)).toEqual(['job'])
})

test('a job that nobody created has no state', async () => {
  const { statuses } = await aJob()
  expect(await statuses.get('another')).toBeUndefined()
})

test('of a job that Redis has forgotten nothing is noted, neither on its way nor at its end', async () => {
  const { statuses, redis, prefix } = await aJob()
  await statuses.commit('another', 3, 10)
  expect(await statuses.progress('another', 4, 5)).toBeUndefined()
  expect(await statuses.end('another', 'succeeded', {})).toBe(false)
  expect(await redis.keys(`${prefix}:job:another*`)).toEqual([])
})

test('scoring that begins again counts what is committed, and what was committed before', async () => {
  const { statuses } = await aJob()
  const plan = { frames: 100, batches: [40, 40, 20] }
  await statuses.beginScoring('job', plan, new Map())
  await statuses.commit('job', 0, 40)
  await statuses.beginScoring(
    'job',
    plan,
    new Map([
      [0, 40],
      [2, 20],
    ]),
  )
  expect(await statuses.get('job')).toMatchObject({
    ...{ state: 'scoring', framesDone: 60, framesBefore: 60, framesTotal: 100, batchesTotal: 3 },
  })
})

test('a job that is forgotten begins anew', async () => {
  const { statuses, redis, prefix } = await aJob()
  expect(await statuses.commit('job', 0, 10)).toBe('counted')
  await statuses.end('job', 'failed', { error: 'why' })
  expect(await statuses.commit('job', 1, 10)).toBe('ended')
  await statuses.forget('job')
  expect(await statuses.commit('job', 2, 10)).toBe('unknown')
  expect(await redis.keys(`${prefix}:job*`)).toEqual([])
  await statuses.create({ id: 'job', createdAt: 3_000, model: 'm@1', source: 's' })
  expect(await statuses.get('job')).toMatchObject({ state: 'queued', framesDone: 0, error: undefined })
})

test("what went wrong with a job is kept for a day after the job's end, also when that end is said again", async () => {
  const { statuses, redis, prefix } = await aJob()
  await createIncidents(redis, prefix).note('job', someIncident())
  await statuses.end('job', 'failed', {})
  const keys = incidentKeys(prefix, 'job')
  for (const key of keys) expect(await redis.ttl(key)).toBeLessThanOrEqual(86_400)
  await redis.expire(keys[0], 60)
  await statuses.end('job', 'failed', {})
  expect(await redis.ttl(keys[0])).toBeLessThanOrEqual(60)
})
