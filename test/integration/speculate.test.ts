import { Worker } from 'bullmq'
import { Registry } from 'prom-client'
import { expect, test } from 'vitest'
import { statusOf } from '../../src/producer/accept-job.ts'
import { addBatches, addFlow } from '../../src/producer/flow.ts'
import { openFlows } from '../../src/producer/resume.ts'
import { speculateChore } from '../../src/producer/speculate.ts'
import type { WorkerRecord } from '../../src/shared/fleet.ts'
import type { JobPlan, JobSpec } from '../../src/shared/job.ts'
import { createJobFiles } from '../../src/shared/job-files.ts'
import { entryIds, workerOptions } from '../../src/shared/queues.ts'
import { createRates } from '../../src/shared/rates.ts'
import { createWorkerRegistry } from '../../src/shared/worker-registry.ts'
import { planOf, specOf } from '../support/jobs.ts'
import { silent } from '../support/services.ts'
import { closedAfterEach, useServices } from '../support/use-services.ts'

const services = useServices()
const open = closedAfterEach()

const jobId = 'the-film-1'
const { signal } = new AbortController()

/** Three batches that take ten seconds each, all of them claimed by the worker `busy-1`. */
async function atWork({
  spec = specOf(jobId),
  plan = planOf(jobId, 3),
}: { spec?: JobSpec; plan?: JobPlan } = {}) {
  const prefix = services.prefix()
  const redis = services.connect()
  const files = createJobFiles(await services.container())
  const on = openFlows(redis, { prefix, files, log: silent })
  open.push(on)
  await on.statuses.create(statusOf(spec))
  await addFlow(on, spec)
  await on.statuses.beginScoring(jobId, plan, new Map())
  await addBatches(on, spec, plan, { committed: async () => new Map() })
  const claiming = (name: string) => {
    const options = { ...workerOptions('batch'), connection: services.connect(), prefix, name }
    const worker = new Worker('batch', null, options)
    open.push(worker)
    return worker
  }
  const busy = claiming('busy-1')
  for (const token of ['a', 'b', 'c']) await busy.getNextJob(token)

  const workers = createWorkerRegistry(redis, prefix)
  const registry = new Registry()
  const deps = { redis, prefix, batches: on.queues.batch, order: on.order, registry, log: silent }
  const chore = speculateChore(deps)
  const entry = (index: number) => on.queues.batch.toKey(entryIds.batch(jobId, index))
  return {
    ...{ on, claiming, registry },
    speculate: async () => await chore.run(signal),
    /** The pace is known. */
    async measure({ model = 'm@1', size = '16x16', seconds = 10 } = {}) {
      await createRates(redis, prefix).note(
        { model, size, device: 'cpu' },
        { frames: 10, seconds, setUpSeconds: 0 },
      )
    },
    async register(id: string, state: WorkerRecord['state'], aheadSeconds = 0) {
      const now = Date.now() + aheadSeconds * 1_000
      await workers.beat({
        ...{ id, instance: id, state, since: now, startedAt: now, beatAt: now, device: 'cpu' },
        ...{ models: [], framesPerSecond: null, batches: 0, leaving: null },
      })
    },
    /** Makes a batch one that was claimed so many seconds ago. */
    async takesSince(index: number, seconds: number) {
      await redis.hset(entry(index), 'processedOn', Date.now() - seconds * 1_000)
    },
    copyOf: async (index: number) => await on.queues.batch.getJob(entryIds.copy(jobId, index)),
  }
}

test('a batch that takes too long is copied once, when the queue is dry and somebody is idle', async () => {
  const { measure, register, takesSince, speculate, copyOf, claiming, registry } = await atWork()
  await takesSince(1, 200)
  expect(await speculate(), 'nobody is idle').toEqual({})
  await register('busy-1', 'busy')
  await register('leaving-1', 'held')
  expect(await speculate(), 'who is held takes nothing').toEqual({})
  await register('idle-1', 'idle')
  await register('idle-2', 'idle')
  expect(await speculate(), 'it is not known how long it should take').toEqual({ copied: 0 })
  await measure()
  // One worker has all three, one behind the other.
  await takesSince(1, 19)
  expect(await speculate(), 'it is not slow').toEqual({ copied: 0 })
  await takesSince(1, 21)
  expect(await speculate()).toEqual({ copied: 1 })

  const copy = await copyOf(1)
  expect(copy).toMatchObject({
    ...{ name: 'batch', data: { jobId, index: 1, first: 10, count: 10, copyOf: 'busy-1' } },
    ...{ parent: undefined, opts: { priority: 1, attempts: 1 } },
  })
  expect(await speculate(), 'something waits').toEqual({})
  expect((await claiming('idle-1').getNextJob('token'))?.id).toBe(copy?.id)
  expect(await speculate(), 'it was copied').toEqual({ copied: 0 })
  await copy?.moveToFailed(new Error('it failed'), 'token')
  expect(await speculate(), 'its copy failed').toEqual({ copied: 0 })
  expect(await registry.getSingleMetric('framefleet_copies_total')?.get()).toMatchObject({
    values: [{ value: 1 }],
  })
})

test('of several models each batch is measured by its own', async () => {
  const models = ['fast', 'slow'].map((name) => ({ name, version: '1', sha256: '' }))
  const spec = specOf(jobId, { models })
  const plan: JobPlan = {
    ...{ v: 1, kind: 'items', jobId, frames: 30, batches: [10, 10, 10], folder: 'f', warnings: [] },
    ...{ groups: models.map((model) => ({ model })), groupOf: [0, 0, 1], hasQueries: false, size: '3x1' },
  }
  const { measure, register, takesSince, speculate, copyOf } = await atWork({ spec, plan })
  await measure({ model: 'fast@1', size: '3x1' })
  await measure({ model: 'slow@1', size: '3x1', seconds: 1_000 })
  await register('idle-1', 'idle')
  await takesSince(2, 200)
  expect(await speculate(), 'it is as slow as its model').toEqual({ copied: 0 })
  // Before the slow one, which its worker has too.
  await takesSince(1, 201)
  expect(await speculate()).toEqual({ copied: 1 })
  expect(await copyOf(1)).toBeDefined()
})

test('what waits for its time, of whatever job, says nothing about idle hands', async () => {
  const { on, measure, register, takesSince, speculate, copyOf } = await atWork()
  await measure()
  await register('idle-1', 'idle')
  await takesSince(1, 200)
  await on.queues.batch.add('batch', {}, { jobId: 'another-job.0', delay: 300_000 })
  expect(await speculate()).toEqual({ copied: 1 })
  expect(await copyOf(1)).toBeDefined()
})

test('what a worker took before counts, though it failed once: what comes behind it waits for it', async () => {
  const { on, measure, register, takesSince, speculate } = await atWork()
  await measure()
  await register('idle-1', 'idle')
  await on.redis.hset(on.queues.batch.toKey(entryIds.batch(jobId, 0)), 'atm', 1)
  await takesSince(0, 45)
  await takesSince(1, 35)
  expect(await speculate()).toEqual({ copied: 0 })
  await takesSince(1, 44)
  expect(await speculate(), 'longer than both should take').toEqual({ copied: 1 })
})

test('a worker whose clock is off has nothing slow for that, and what is slow there is seen', async () => {
  const { measure, register, takesSince, speculate, copyOf } = await atWork()
  await measure()
  await register('idle-1', 'idle')
  // By its own clock it took them a second ago.
  for (const index of [0, 1, 2]) await takesSince(index, 61)
  await register('busy-1', 'busy', -60)
  expect(await speculate()).toEqual({ copied: 0 })
  for (const index of [0, 2]) await takesSince(index, -59)
  await takesSince(1, -20)
  await register('busy-1', 'busy', 60)
  expect(await speculate()).toEqual({ copied: 1 })
  expect(await copyOf(1)).toBeDefined()
})

test('the slowest are copied first, as many as somebody is idle for; none that has failed, is committed, or was halted', async () => {
  const { on, measure, register, takesSince, speculate, copyOf } = await atWork()
  await measure()
  await register('idle-1', 'idle')
  await takesSince(0, 100)
  await takesSince(1, 500)
  await takesSince(2, 300)
  // One has failed before: what is done with it takes its time.
  await on.redis.hset(on.queues.batch.toKey(entryIds.batch(jobId, 2)), 'atm', 1)
  await on.statuses.halt(jobId, 'cancelled')
  expect(await speculate()).toEqual({ copied: 0 })
  await on.statuses.forget(jobId)
  expect(await speculate(), 'nothing is known of the job').toEqual({ copied: 0 })
  await on.statuses.create(statusOf(specOf(jobId)))
  await on.statuses.beginScoring(jobId, planOf(jobId, 3), new Map([[1, 10]]))
  // The slowest is committed, though its worker has not heard of it.
  expect(await speculate()).toEqual({ copied: 1 })
  expect(await copyOf(1)).toBeUndefined()
  expect(await copyOf(0)).toBeDefined()
  expect(await copyOf(2)).toBeUndefined()
})
