import { join } from 'node:path'
import { type Job, Worker } from 'bullmq'
import { pino } from 'pino'
import { expect, test } from 'vitest'
import { addBatches, addFlow, dropWaiting } from '../../src/producer/flow.ts'
import { createResumeOpen, reconcileChore } from '../../src/producer/reconcile.ts'
import { openFlows, resumeJob } from '../../src/producer/resume.ts'
import { indexSource } from '../../src/producer/index-source.ts'
import { splitWorkload } from '../../src/producer/split.ts'
import { createIncidents } from '../../src/shared/incidents.ts'
import { createAcceptedOutputs } from '../../src/shared/accepted-outputs.ts'
import { type JobFiles, createJobFiles } from '../../src/shared/job-files.ts'
import { layout } from '../../src/shared/layout.ts'
import { createModelStore } from '../../src/shared/models/model-store.ts'
import { type QueueName, entryIds, workerOptions } from '../../src/shared/queues.ts'
import { openScratch } from '../../src/shared/scratch.ts'
import { type Workload, processorOf } from '../../src/shared/workload.ts'
import { stitchWorkload } from '../../src/stitcher/stitch.ts'
import { commitSegment, keepJob, planOf, reportFor, specOf } from '../support/jobs.ts'
import { silent } from '../support/services.ts'
import { tempDir } from '../support/temp-dir.ts'
import { closedAfterEach, useServices } from '../support/use-services.ts'

const dir = tempDir()
const services = useServices()
const open = closedAfterEach()

/** A namespace with the parts of the system that need no video; nothing runs until it is told to. */
async function system() {
  const prefix = services.prefix()
  const redis = services.connect()
  const media = await services.container()
  const files = createJobFiles(media)
  const flows = openFlows(redis, { prefix, files, log: silent })
  open.push(flows)
  const scored: number[] = []
  const incidents = createIncidents(redis, prefix)

  function work<Q extends QueueName>(workload: Workload<Q>): Worker {
    const processor = processorOf(workload, { log: silent, incidents })
    const worker = new Worker(
      workload.queue,
      async (job, token, signal) => await processor(job, token, signal),
      {
        ...workerOptions(workload.queue),
        ...{ connection: services.connect(), prefix, settings: { backoffStrategy: () => 200 } },
      },
    )
    open.push(worker)
    return worker
  }
  const scratch = await openScratch(join(dir, 'scratch'))
  open.push(scratch)
  const sources = { look: never, open: never } as never
  return {
    ...flows,
    ...{ media, files, scored },
    wipe: async () => {
      const keys = await redis.keys(`${prefix}:*`)
      if (keys.length > 0) await redis.del(keys)
    },
    /** Runs what is on the queues; resolves when the stitch has ended the job. */
    async runs(how: { stitch?: 'real'; files?: JobFiles } = {}): Promise<{ segments: number; job: Job }> {
      work(
        splitWorkload({
          index: indexSource,
          policy: { mediaUrl: 'http://127.0.0.1', allowed: [] },
          maxSourceBytes: 1e9,
          ...{ ...flows, media, scratch, sources, models: createModelStore(media) },
          cut: { workers: 1, pace: 'unknown' },
        }),
      )
      work({
        queue: 'batch',
        onTerminalFailure: async () => {},
        async process({ jobId, index, count }) {
          if (await flows.statuses.halted(jobId)) return { frames: 0, replaced: [], through: [], ms: {} }
          scored.push(index)
          await commitSegment(media, jobId, index)
          await flows.statuses.commit(jobId, index, count)
          return { frames: count, replaced: [], through: [], ms: {} }
        },
      })
      let segments = 0
      const real = stitchWorkload({
        ...{ statuses: flows.statuses, incidents, media, sources, scratch, log: silent },
        keepTimeline: async () => {},
        onEnded() {},
        files: how.files ?? files,
        outputs: createAcceptedOutputs(media),
      })
      const stitcher = work(
        how.stitch === 'real'
          ? real
          : {
              queue: 'stitch',
              onTerminalFailure: async () => {},
              async process({ jobId }) {
                segments = (await files.committed(jobId)).size
                return {}
              },
            },
      )
      const job = await new Promise<Job>((resolve, reject) => {
        stitcher.once('completed', resolve)
        stitcher.once('failed', (_, error) => reject(error))
      })
      return { job, segments }
    },
  }
}

const never = async () => await Promise.reject(new Error('no source is to be read'))

/** A flow whose split has ended and whose batches wait, some of them committed. */
async function halfDone(batches: number, committed: number[]) {
  const on = await system()
  const spec = specOf()
  await keepJob(on.files, spec, batches)
  await on.statuses.create({ id: spec.id, createdAt: 1, model: 'm@1', source: 's' })
  await addFlow(on, spec)
  const plan = planOf(spec.id, batches)
  for (const index of committed) await commitSegment(on.media, spec.id, index)
  await on.statuses.beginScoring(spec.id, plan, new Map(committed.map((index) => [index, 10])))
  await addBatches(on, spec, plan, { committed: async () => await on.files.committed(spec.id) })
  // The split has done its work: it goes as one that was completed does.
  await on.queues.split.remove(entryIds.split(spec.id))
  return { on, spec, plan }
}

const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i)
const sorted = (list: number[]) => list.toSorted((a, b) => a - b)

test('after a wipe only what is missing is done, and what was done is counted', async () => {
  const { on, spec } = await halfDone(60, range(0, 55))
  await on.wipe()
  expect(await resumeJob(on, spec.id)).toBe('resumed')
  expect((await on.runs()).segments).toBe(60)
  expect(sorted(on.scored)).toEqual(range(55, 60))
  expect(await on.statuses.get(spec.id)).toMatchObject({
    ...{ state: 'scoring', framesTotal: 600, framesDone: 600, framesBefore: 550 },
  })
  expect(await on.backlog.list()).toEqual([spec.id])
})

test('two that resume the same job at once put it back once', async () => {
  const { on, spec } = await halfDone(20, [])
  await on.wipe()
  const outcomes = await Promise.all(range(0, 5).map(async () => await resumeJob(on, spec.id)))
  expect(outcomes.filter((outcome) => outcome === 'resumed')).toHaveLength(1)
  expect(await resumeJob(on, spec.id)).toBe('running')
  await on.runs()
  expect(sorted(on.scored)).toEqual(range(0, 20))
})

test('a job that runs is left as it is', async () => {
  const { on, spec } = await halfDone(30, [3])
  expect(await resumeJob(on, spec.id)).toBe('running')
  await on.runs()
  expect(sorted(on.scored)).toEqual(range(0, 30).filter((index) => index !== 3))
})

test('entries that vanished are put back, and those that have nothing left to do are struck off', async () => {
  const { on, spec } = await halfDone(10, [])
  // One has its hash gone, one is in no list, one is gone altogether, and one has been committed meanwhile.
  const key = (index: number) => on.queues.batch.toKey(entryIds.batch(spec.id, index))
  await on.redis.del(key(1), key(7))
  await on.redis.zrem(on.queues.batch.toKey('prioritized'), entryIds.batch(spec.id, 2))
  await on.queues.batch.remove(entryIds.batch(spec.id, 5))
  await commitSegment(on.media, spec.id, 7)
  expect(await resumeJob(on, spec.id)).toBe('resumed')
  expect(await resumeJob(on, spec.id)).toBe('running')
  expect((await on.runs()).segments).toBe(10)
  expect(sorted(on.scored)).toEqual(range(0, 10).filter((index) => index !== 7))
})

test('a batch whose segment was lost is done again while the stitch waits for it', async () => {
  const { on, spec } = await halfDone(4, [])
  await on.runs()
  // It is about to try again: what it misses by then is put back.
  const stitch = on.queues.stitch.toKey(entryIds.stitch(spec.id))
  await Promise.all(open.map(async (each) => (each instanceof Worker ? await each.close() : undefined)))
  await on.redis.zrem(on.queues.stitch.toKey('completed'), entryIds.stitch(spec.id))
  await on.redis.zadd(
    on.queues.stitch.toKey('delayed'),
    (Date.now() + 300) * 0x1000,
    entryIds.stitch(spec.id),
  )
  expect(await on.redis.exists(stitch)).toBe(1)
  await on.media.remove([layout.segment(spec.id, 2)])
  on.scored.length = 0
  expect(await resumeJob(on, spec.id)).toBe('resumed')
  expect((await on.runs()).segments).toBe(4)
  expect(on.scored).toEqual([2])
})

test('a stitch whose last child vanished wakes', async () => {
  const { on, spec } = await halfDone(3, [0, 1])
  await on.redis.del(on.queues.batch.toKey(entryIds.batch(spec.id, 2)))
  await on.redis.del(on.queues.batch.toKey('prioritized'))
  await on.redis.del(on.queues.stitch.toKey(`${spec.id}:dependencies`))
  await commitSegment(on.media, spec.id, 2)
  expect(await resumeJob(on, spec.id)).toBe('resumed')
  expect((await on.runs()).segments).toBe(3)
  expect(on.scored).toEqual([])
})

test.each(['all that Redis held', 'the split', 'the stitch'])(
  'a job that has no batch, of a table without rows, ends after the loss of %s',
  async (lost) => {
    const on = await system()
    const spec = specOf()
    spec.request.source = { table: { prefix: 'none/', format: 'csv', key: ['id'], features: ['x'] } }
    spec.request.output = { scores: { format: 'ndjson' } }
    await createAcceptedOutputs(on.media).keep(spec.id, spec.requestHash, { url: undefined, query: '' })
    await keepJob(on.files, spec, 0)
    await on.files.keepPlan({
      ...{ v: 1, kind: 'items', jobId: spec.id, folder: 'none', frames: 0, batches: [] },
      ...{ groups: [], groupOf: [], hasQueries: false, warnings: ['The table has no rows.'] },
    })
    await addFlow(on, spec)
    const stitch = on.queues.stitch.toKey(entryIds.stitch(spec.id))
    if (lost === 'the stitch') await on.redis.del(stitch, `${stitch}:dependencies`)
    if (lost === 'the split') {
      // As it is when its last child ended, and nobody was told.
      await on.redis.del(`${stitch}:dependencies`)
      await on.queues.split.remove(entryIds.split(spec.id))
    }
    if (lost === 'all that Redis held') await on.wipe()
    expect(await resumeJob(on, spec.id)).toBe('resumed')
    await on.runs({ stitch: 'real' })
    expect(await on.files.readReport(spec.id)).toMatchObject({
      ...{ status: 'succeeded', frames: 0, fps: 0, batches: { planned: 0 } },
      ...{ items: { total: 0, failed: 0 }, warnings: ['The table has no rows.'] },
    })
    expect(await on.statuses.get(spec.id)).toMatchObject({ state: 'succeeded', framesTotal: 0 })
  },
)

test('a stitch that is gone is made anew, and the batches that wait become its children', async () => {
  const { on, spec } = await halfDone(8, [0])
  const id = entryIds.stitch(spec.id)
  await on.redis.del(on.queues.stitch.toKey(id), on.queues.stitch.toKey(`${id}:dependencies`))
  await on.redis.zrem(on.queues.stitch.toKey('waiting-children'), id)
  expect(await resumeJob(on, spec.id)).toBe('resumed')
  expect((await on.runs()).segments).toBe(8)
  expect(sorted(on.scored)).toEqual(range(1, 8))
})

test('a job that was accepted and never reached the queues is found by its mark', async () => {
  const on = await system()
  const spec = specOf()
  await keepJob(on.files, spec, 4)
  const chore = reconcileChore(on, 1)
  await expect.poll(async () => (await chore.run(new AbortController().signal))['resumed']).toBe(1)
  expect((await on.runs()).segments).toBe(4)
})

test('reconciling leaves alone what is well, and mends what is not', async () => {
  const { on, spec } = await halfDone(40, [])
  const chore = reconcileChore(on, 1)
  const run = async () => await chore.run(new AbortController().signal)
  await expect.poll(run).toMatchObject({ resumed: 0, running: 0 })
  for (const index of range(0, 40)) await on.redis.del(on.queues.batch.toKey(entryIds.batch(spec.id, index)))
  expect(await run()).toMatchObject({ resumed: 1 })
  await on.runs()
  expect(sorted(on.scored)).toEqual(range(0, 40))
})

test('a job that cannot be looked at keeps no other from being put back', async () => {
  const on = await system()
  const [good, bad] = [specOf(), specOf()]
  await keepJob(on.files, good, 1)
  await on.media.write(layout.spec(bad.id), Buffer.from('{"broken'))
  await on.files.markOpen(bad.id)
  const chore = reconcileChore(on, 1)
  await expect
    .poll(async () => await chore.run(new AbortController().signal))
    .toMatchObject({ resumed: 1, failed: 1 })
})

test('a job whose status cannot be read keeps no other from being put back, and is told of once', async () => {
  const { on, spec: bad } = await halfDone(2, [])
  await on.redis.del(`${on.prefix}:job:${bad.id}`)
  await on.redis.set(`${on.prefix}:job:${bad.id}`, 'not a hash')
  const told: unknown[] = []
  const log = pino({ base: null }, { write: (line) => told.push((JSON.parse(line) as { job: string }).job) })
  const chore = reconcileChore({ ...on, log }, 1)
  const run = async () => await chore.run(new AbortController().signal)
  await expect.poll(run).toMatchObject({ failed: 1 })
  const good = specOf()
  await keepJob(on.files, good, 1)
  await expect.poll(run).toMatchObject({ resumed: 1, failed: 1 })
  expect(told).toEqual([bad.id])
})

test('a status that was lost is made anew while its job runs, with the word that it was cancelled', async () => {
  const { on, spec } = await halfDone(3, [1])
  await on.files.markCancelled(spec.id)
  await on.statuses.forget(spec.id)
  const chore = reconcileChore(on, 1)
  await expect.poll(async () => (await chore.run(new AbortController().signal))['running']).toBe(1)
  expect(await on.statuses.get(spec.id)).toMatchObject({ model: 'm@1', halt: 'cancelled' })
})

test('a mark does not say that a job was cancelled for which that came too late', async () => {
  const { on, spec } = await halfDone(1, [0])
  await on.statuses.beginPublishing(spec.id)
  await on.files.markCancelled(spec.id)
  await resumeJob(on, spec.id)
  expect(await on.files.openMark(spec.id)).toEqual({ cancelled: false })
})

test('all who want every open job looked at while that is under way share one look', async () => {
  const on = await system()
  await keepJob(on.files, specOf(), 1)
  let listings = 0
  const openJobs = () => {
    listings++
    return on.files.openJobs()
  }
  const look = createResumeOpen({ ...on, files: { ...on.files, openJobs } }, new AbortController().signal)
  const found = await Promise.all(range(0, 20).map(look))
  expect(new Set(found.map(({ resumed }) => resumed))).toEqual(new Set([1]))
  expect(listings).toBe(1)
  expect(await look()).toMatchObject({ resumed: 0, running: 1 })
  expect(listings).toBe(2)
})

test('a cancellation outlives Redis', async () => {
  const { on, spec } = await halfDone(6, [1])
  await on.files.markCancelled(spec.id)
  await on.wipe()
  expect(await resumeJob(on, spec.id)).toBe('resumed')
  await on.runs({ stitch: 'real' })
  expect(await on.files.readReport(spec.id)).toMatchObject({ status: 'cancelled' })
  expect(on.scored).toEqual([])
  expect(await on.files.openMark(spec.id)).toBeUndefined()
  expect((await on.files.committed(spec.id)).size).toBe(0)
})

test('batches of a halted job leave the queue at once, and its end comes', async () => {
  const { on, spec } = await halfDone(1_200, [])
  await on.statuses.halt(spec.id, 'cancelled')
  expect(await dropWaiting(on, spec.id)).toBe(1_200)
  expect(await on.queues.batch.getPrioritizedCount()).toBe(0)
  expect(await resumeJob(on, spec.id)).toBe('running')
  await on.runs({ stitch: 'real' })
  expect(await on.files.readReport(spec.id)).toMatchObject({ status: 'cancelled' })
  expect(on.scored).toEqual([])
  expect(await on.backlog.list()).toEqual([])
})

test('a job with a report has ended: what its end left to do is done', async () => {
  const { on, spec } = await halfDone(2, [0, 1])
  await on.files.writeReport(reportFor(spec, 'succeeded'))
  expect(await resumeJob(on, spec.id)).toBe('ended')
  expect(await on.statuses.get(spec.id)).toMatchObject({ state: 'succeeded' })
  expect(await on.files.openMark(spec.id)).toBeUndefined()
  expect((await on.files.committed(spec.id)).size).toBe(0)
  // What Redis has forgotten stays forgotten: it is answered from Blob.
  await on.wipe()
  expect(await resumeJob(on, spec.id)).toBe('ended')
  expect(await on.statuses.get(spec.id)).toBeUndefined()
})

test('an end that could not be written down is written down', async () => {
  const { on, spec } = await halfDone(2, [0])
  await on.statuses.end(spec.id, 'failed', { errorCode: 'stitch-failed', error: 'storage was away' })
  await on.queues.stitch.remove(entryIds.stitch(spec.id), { removeChildren: true })
  expect(await resumeJob(on, spec.id)).toBe('resumed')
  await on.runs({ stitch: 'real' })
  expect(await on.files.readReport(spec.id)).toMatchObject({
    ...{ status: 'failed', error: { code: 'stitch-failed', message: 'storage was away' } },
  })
  expect(on.scored).toEqual([])
})

test('a job that failed runs anew by its plan when it is asked to, unless its SAS is gone', async () => {
  const { on, spec } = await halfDone(5, [])
  await on.statuses.halt(spec.id, 'failed', { code: 'batch-failed', message: 'it failed' })
  await on.runs({ stitch: 'real' })
  expect(await on.files.readReport(spec.id)).toMatchObject({ status: 'failed' })
  expect(await resumeJob(on, spec.id)).toBe('ended')
  await Promise.all(open.map(async (each) => (each instanceof Worker ? await each.close() : undefined)))

  expect(await resumeJob(on, spec.id, { again: true })).toBe('resumed')
  expect(await on.files.readReport(spec.id)).toBeUndefined()
  expect(await on.statuses.get(spec.id)).toMatchObject({ state: 'queued', framesDone: 0, halt: undefined })
  expect((await on.runs()).segments).toBe(5)
  expect(sorted(on.scored)).toEqual(range(0, 5))

  const secret = specOf(undefined, { hasSecret: true })
  await keepJob(on.files, secret, 0)
  await on.files.writeReport(reportFor(secret, 'failed'))
  await expect(resumeJob(on, secret.id, { again: true })).rejects.toMatchObject({ code: 'secret-gone' })
  await on.files.writeReport(reportFor(secret, 'succeeded'))
  expect(await resumeJob(on, secret.id, { again: true })).toBe('ended')

  // A manifest without a SAS, which names images that have one.
  const listed = specOf()
  await keepJob(on.files, listed, 0)
  const items = { kind: 'items' as const, folder: 'a', frames: 1, batches: [1], groups: [], groupOf: [] }
  await on.files.keepPlan({ v: 1, jobId: listed.id, ...items, hasQueries: true, warnings: [] })
  await on.files.writeReport(reportFor(listed, 'failed'))
  await expect(resumeJob(on, listed.id, { again: true })).rejects.toMatchObject({ code: 'secret-gone' })
})

test('a job that is run anew right when it fails keeps its new mark', async () => {
  const { on, spec } = await halfDone(2, [])
  await on.statuses.halt(spec.id, 'failed', { code: 'batch-failed', message: 'it failed' })
  const [held, release] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  const unmark = async (id: string) => {
    held.resolve()
    await release.promise
    await on.files.unmark(id)
  }
  const ended = on.runs({ stitch: 'real', files: { ...on.files, unmark } })
  await held.promise
  expect(await on.statuses.get(spec.id)).toMatchObject({ state: 'failed' })
  await expect(resumeJob(on, spec.id, { again: true, endsWithinMs: 0 })).rejects.toMatchObject({
    code: 'job-ending',
  })
  expect(await on.files.readReport(spec.id)).toMatchObject({ status: 'failed' })
  // They end what they are at, and begin nothing of the new run.
  const idle = open.map(async (each) => (each instanceof Worker ? await each.close() : undefined))
  const again = resumeJob(on, spec.id, { again: true })
  release.resolve()
  expect(await again).toBe('resumed')
  await Promise.all([ended, ...idle])
  expect(await on.files.openMark(spec.id)).toEqual({ cancelled: false })
  expect(await on.files.readReport(spec.id)).toBeUndefined()
  expect(await on.statuses.get(spec.id)).toMatchObject({ state: 'queued' })
})

test('what nobody ever accepted is unknown', async () => {
  expect(await resumeJob(await system(), 'job-of-nobody')).toBe('unknown')
})
