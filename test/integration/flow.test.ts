import { join } from 'node:path'
import { FlowProducer, type Job, Queue, QueueEvents, Worker } from 'bullmq'
import { expect, test } from 'vitest'
import { createFairOrder } from '../../src/producer/fair-queue.ts'
import { addFlow } from '../../src/producer/flow.ts'
import { indexSource } from '../../src/producer/index-source.ts'
import { planBatches } from '../../src/producer/plan-batches.ts'
import { splitWorkload } from '../../src/producer/split.ts'
import { createFileCache } from '../../src/shared/file-cache.ts'
import { type JobSpec, Plan } from '../../src/shared/job.ts'
import { createIncidents } from '../../src/shared/incidents.ts'
import { createJobFiles } from '../../src/shared/job-files.ts'
import { createJobStatuses } from '../../src/shared/job-status.ts'
import { createModelStore } from '../../src/shared/models/model-store.ts'
import { type QueueName, entryIds, entryOptions, workerOptions } from '../../src/shared/queues.ts'
import { createRates } from '../../src/shared/rates.ts'
import { openScratch } from '../../src/shared/scratch.ts'
import { createSourceReader } from '../../src/shared/source.ts'
import { type Workload, processorOf } from '../../src/shared/workload.ts'
import { InputError, LostError, TransientError } from '../../src/shared/errors.ts'
import { makeClip } from '../support/clips.ts'
import { specOf } from '../support/jobs.ts'
import { silent } from '../support/services.ts'
import { tempDir } from '../support/temp-dir.ts'
import { useServices } from '../support/use-services.ts'

const dir = tempDir()
const services = useServices()

/** The queues of one test, with workers that are closed at its end. */
async function queuesOfATest() {
  const prefix = services.prefix()
  const connection = services.connect()
  const open: { close(): Promise<unknown> }[] = []
  const keep = <T extends { close(): Promise<unknown> }>(thing: T): T => {
    open.unshift(thing)
    return thing
  }
  return {
    ...{ prefix, connection },
    queue: (name: QueueName) => keep(new Queue(name, { connection, prefix })),
    events: (name: QueueName) => keep(new QueueEvents(name, { connection: services.connect(), prefix })),
    flows: () => keep(new FlowProducer({ connection, prefix })),
    work<Q extends QueueName>(workload: Workload<Q>) {
      const processor = processorOf(workload, { log: silent, incidents: createIncidents(connection, prefix) })
      return keep(
        new Worker(workload.queue, async (job, token, signal) => await processor(job, token, signal), {
          ...workerOptions(workload.queue),
          ...{ connection: services.connect(), prefix, settings: { backoffStrategy: () => 1 } },
        }),
      )
    },
    async close() {
      for (const thing of open) await thing.close()
    },
  }
}

const nothing = async () => {}

async function childrenEnded(queue: Queue, id: string): Promise<number> {
  const counts = await (await queue.getJob(id))?.getDependenciesCount({ processed: true, ignored: true })
  return (counts?.processed ?? 0) + (counts?.ignored ?? 0)
}

/** The next entry of a worker that ends this way. */
const ends = async (worker: Worker, event: 'completed' | 'failed') =>
  await new Promise<Job>((resolve) => {
    if (event === 'completed') worker.once('completed', resolve)
    else worker.once('failed', (job) => job && resolve(job))
  })

test('a split that dies half-way runs again and adds nothing twice; the stitch wakes once, after all', async () => {
  const test = await queuesOfATest()
  const media = await services.container()
  const clip = await makeClip({
    path: join(dir, 'many.mp4'),
    frames: 1_200,
    size: '16x16',
    fps: '100',
    sound: false,
  })
  await media.uploadFile('in/many.mp4', clip)
  const files = createJobFiles(media)
  const sources = createSourceReader(media, createFileCache({ dir: join(dir, 'cache'), maxBytes: 1e9 }))
  const spec: JobSpec = {
    ...{ v: 1, id: 'job-of-many', createdAt: new Date().toISOString(), requestHash: '' },
    request: {
      ...{ source: { url: media.url('in/many.mp4') }, model: 'm', output: {}, batch: { frames: 1 } },
      ...{ priority: 5, onError: 'fail', errorThreshold: 0 },
    },
    source: await sources.look(media.url('in/many.mp4')),
    client: '',
    hasSecret: false,
    model: { name: 'm', version: '1', sha256: '' },
  }
  await files.keepSpec(spec)

  const batches = test.queue('batch')
  let chunks = 0
  // The third chunk of batches is where the first attempt breaks.
  const breaking = new Proxy(batches, {
    get: (queue, name, self) =>
      name === 'addBulk' && ++chunks === 3
        ? async () => await Promise.reject(new TransientError('Redis went away'))
        : Reflect.get(queue, name, self),
  })
  const statuses = createJobStatuses(services.connect(), test.prefix)
  await statuses.create({ id: spec.id, createdAt: 1, model: 'm', source: 's' })
  const scored: number[] = []
  const woken: { ended: number; failures: string[] }[] = []
  const done = ends(
    test.work({
      queue: 'stitch',
      onTerminalFailure: nothing,
      async process(_, context) {
        woken.push({
          ended: await childrenEnded(test.queue('stitch'), spec.id),
          failures: Object.values(await context.childFailures()),
        })
        return {}
      },
    }),
    'completed',
  )
  test.work({
    queue: 'batch',
    onTerminalFailure: nothing,
    async process({ index, count }) {
      if (index === 700) throw new InputError('damaged', 'this one is bad')
      scored.push(index)
      return { frames: count, replaced: [], through: [], ms: {} }
    },
  })
  const order = createFairOrder({ redis: test.connection, prefix: test.prefix, share: 1 })
  const split = test.work(
    splitWorkload({
      index: indexSource,
      policy: { mediaUrl: 'http://127.0.0.1', allowed: [] },
      maxSourceBytes: 1e9,
      ...{
        files,
        media,
        models: createModelStore(media),
        statuses,
        sources,
        redis: test.connection,
        queues: { split: test.queue('split'), batch: breaking, stitch: test.queue('stitch') },
        order,
        cut: { workers: 4, pace: 'unknown' },
      },
      scratch: await openScratch(join(dir, 'scratch')),
    }),
  )
  const retried = ends(split, 'failed')
  await addFlow({ flows: test.flows(), order }, spec)
  expect((await retried).failedReason).toBe('Redis went away')
  await done

  expect(scored.toSorted((a, b) => a - b)).toEqual(
    Array.from({ length: 1_200 }, (_, i) => i).filter((i) => i !== 700),
  )
  expect(woken).toEqual([{ ended: 1_201, failures: ['this one is bad'] }])
  expect(await statuses.get(spec.id)).toMatchObject({
    state: 'scoring',
    framesTotal: 1_200,
    batchesTotal: 1_200,
  })
  await test.close()
})

test('a video is cut by the pace that was measured, and the plan says by which', async () => {
  const test = await queuesOfATest()
  const media = await services.container()
  const path = join(dir, 'paced.mp4')
  const video = { frames: 600, size: '16x16', fps: '100', sound: false as const }
  await media.uploadFile('in/paced.mp4', await makeClip({ path, ...video }))
  const files = createJobFiles(media)
  const sources = createSourceReader(media, createFileCache({ dir: join(dir, 'cache'), maxBytes: 1e9 }))
  const statuses = createJobStatuses(services.connect(), test.prefix)
  const queues = { split: test.queue('split'), batch: test.queue('batch'), stitch: test.queue('stitch') }
  const scratch = await openScratch(join(dir, 'scratch'))
  const flows = test.flows()
  const plan = async (id: string, pace: 'measured' | 'unknown' | number, batch = {}) => {
    // One that reckoned a moment ago would not look again.
    const order = createFairOrder({ redis: test.connection, prefix: test.prefix, share: 1 })
    const spec = specOf(id, { source: await sources.look(media.url('in/paced.mp4')) })
    spec.request.batch = batch
    await files.keepSpec(spec)
    await statuses.create({ id, createdAt: 1, model: 'm@1', source: 's' })
    await addFlow({ flows, order }, spec)
    const split = splitWorkload({
      ...{ files, media, statuses, sources, order, queues, scratch, index: indexSource },
      policy: { mediaUrl: 'http://127.0.0.1', allowed: [] },
      maxSourceBytes: 1e9,
      ...{ models: createModelStore(media), redis: test.connection, cut: { workers: 4, pace } },
    })
    const context = {
      signal: new AbortController().signal,
      log: silent,
      attempt: 1,
      again: false,
      failures: {},
    }
    await split.process({ jobId: id }, { ...context, childFailures: async () => ({}) })
    const { batches, keyframes, pace: cutBy } = Plan.parse(await files.plan(id))
    return { batches, keyframes, cutBy }
  }
  const unmeasured = await plan('job-unknown-1', 'measured')
  const { keyframes } = unmeasured
  expect(unmeasured.cutBy).toMatchObject({ workers: 4, measured: false })
  expect(unmeasured.batches).toEqual(planBatches(600, keyframes, { workers: 4 }))

  const rates = createRates(test.connection, test.prefix)
  const key = { model: 'm@1', size: '16x16', device: 'cpu' }
  await rates.note(key, { frames: 100, seconds: 12, setUpSeconds: 0.55 })
  const measured = await plan('job-measured-1', 'measured')
  const cutBy = { workers: 4, secondsPerFrame: 0.125, setUpSeconds: 0.5, measured: true }
  expect(measured).toEqual({ cutBy, keyframes, batches: planBatches(600, keyframes, cutBy) })
  expect(measured.batches).not.toEqual(unmeasured.batches)
  // A little faster is nothing; and who wants the same bytes for ever says so.
  await rates.note(key, { frames: 100, seconds: 13, setUpSeconds: 0.45 })
  expect(await plan('job-measured-2', 'measured')).toEqual(measured)
  expect((await plan('job-unknown-2', 'unknown')).batches).toEqual(unmeasured.batches)
  expect((await plan('job-pinned-01', 8)).batches).toEqual(measured.batches)
  expect(await plan('job-asked-001', 'measured', { frames: 300 })).toMatchObject({
    batches: [300, 300],
    cutBy: undefined,
  })
  await test.close()
})

const outcomes: [what: string, error: () => Error, attempts: number, terminal: number][] = [
  ['an input error is not tried again', () => new InputError('bad', 'bad media'), 1, 1],
  ['a passing error is tried for minutes', () => new TransientError('busy'), 12, 1],
  ['an unknown error is tried like a passing one, but less often', () => new Error('who knows'), 3, 1],
]

test.for(outcomes)('%s', async ([, error, attempts, terminal]) => {
  const test = await queuesOfATest()
  let tried = 0
  let given = 0
  const worker = test.work({
    queue: 'split',
    async process() {
      tried++
      throw error()
    },
    async onTerminalFailure() {
      given++
    },
  })
  const failed = new Promise<void>((resolve) => {
    worker.on('failed', (job) => {
      if (job?.finishedOn) resolve()
    })
  })
  const options = { ...entryOptions('split', { isChild: false }), backoff: { type: 'custom' } }
  await test.queue('split').add('split', { jobId: 'job-00000001' }, options)
  await failed
  expect({ tried, given }).toEqual({ tried: attempts, given: terminal })
  await test.close()
})

test('work that is given back spends no attempt, and is first in line again', async () => {
  const test = await queuesOfATest()
  const attempts: number[] = []
  const worker = test.work({
    queue: 'split',
    onTerminalFailure: nothing,
    async process(_, { attempt }) {
      attempts.push(attempt)
      if (attempts.length < 4) throw new LostError('told to leave')
      return {}
    },
  })
  const done = ends(worker, 'completed')
  await test.queue('split').add('split', { jobId: 'job-00000001' }, entryOptions('split', { isChild: false }))
  await done
  expect(attempts).toEqual([1, 1, 1, 1])
  await test.close()
})

test('what is given back is taken by somebody who waits for work, and not only when they look again', async () => {
  const test = await queuesOfATest()
  const began = Promise.withResolvers<void>()
  const leave = Promise.withResolvers<void>()
  const leaving: Worker = test.work({
    queue: 'split',
    onTerminalFailure: nothing,
    async process() {
      began.resolve()
      await leave.promise
      await leaving.pause(true)
      throw new LostError('told to leave')
    },
  })
  const options = { ...entryOptions('split', { isChild: false }), priority: 7 }
  await test.queue('split').add('split', { jobId: 'job-00000001' }, options)
  await began.promise
  const idle = test.work({ queue: 'split', onTerminalFailure: nothing, process: async () => ({}) })
  // It has seen that there is nothing, and waits to be told.
  const blocked = async () => /flags=b .*cmd=bzpopmin/.test(String(await test.connection.client('LIST')))
  const marker = `${test.prefix}:split:marker`
  while ((await test.connection.exists(marker)) === 1 || !(await blocked())) await new Promise(setImmediate)
  const done = ends(idle, 'completed')
  const at = performance.now()
  leave.resolve()
  expect(await done).toMatchObject({ priority: 7, attemptsMade: 1 })
  // BullMQ's own would be five seconds.
  expect(performance.now() - at).toBeLessThan(2_500)
  await test.close()
})

test('whatever breaks once a worker was told to stop is given back, not failed', async () => {
  const test = await queuesOfATest()
  let tries = 0
  const worker: Worker = test.work({
    queue: 'split',
    onTerminalFailure: nothing,
    async process(_, { signal }) {
      if (++tries > 1) return {}
      worker.cancelAllJobs('leaving')
      throw new Error(`a pipe broke (${String(signal.aborted)})`)
    },
  })
  const done = ends(worker, 'completed')
  await test.queue('split').add('split', { jobId: 'job-00000001' }, entryOptions('split', { isChild: false }))
  expect((await done).attemptsMade).toBe(1)
  expect(tries).toBe(2)
  await test.close()
})

test('an entry that can not be read is put aside until the sweep comes, and its parent does not wake by it', async () => {
  const test = await queuesOfATest()
  const worker = test.work({
    queue: 'batch',
    onTerminalFailure: nothing,
    process: async () => await Promise.reject(new Error('never called')),
  })
  const delayed = new Promise<string>((resolve) => {
    const events = test.events('batch')
    events.on('delayed', ({ jobId }) => resolve(jobId))
  })
  await test.flows().add({
    ...{ name: 'stitch', queueName: 'stitch', data: { jobId: 'job-00000001' } },
    opts: { jobId: 'job-00000001' },
    children: [{ name: 'batch', queueName: 'batch', data: { jobId: 7, first: 'x' }, opts: { jobId: 'odd' } }],
  })
  expect(await delayed).toBe('odd')
  expect(await test.queue('batch').getJob('odd')).toMatchObject({ attemptsMade: 0 })
  expect(await test.queue('stitch').getJobState('job-00000001')).toBe('waiting-children')
  expect(worker.isRunning()).toBe(true)
  await test.close()
})

test('ids depend on the job alone', () => {
  expect([entryIds.stitch('j'), entryIds.split('j'), entryIds.batch('j', 7)]).toEqual([
    'j',
    'j.split',
    'j.000007',
  ])
})
