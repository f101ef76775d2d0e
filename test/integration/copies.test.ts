import { readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { Queue, Worker } from 'bullmq'
import { pino } from 'pino'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Victim, descendantsOf, signal } from '../../scripts/chaos/processes.ts'
import { cancelJob } from '../../src/producer/cancel-job.ts'
import { addBatches, addFlow } from '../../src/producer/flow.ts'
import { openFlows, resumeJob } from '../../src/producer/resume.ts'
import { createSweeper } from '../../src/producer/sweep-queues.ts'
import type { BlobStore } from '../../src/shared/blob-store.ts'
import { createFileCache } from '../../src/shared/file-cache.ts'
import { createIncidents } from '../../src/shared/incidents.ts'
import type { BatchPayload, BatchResult, Plan } from '../../src/shared/job.ts'
import { createJobFiles } from '../../src/shared/job-files.ts'
import { createJobStatuses } from '../../src/shared/job-status.ts'
import { layout } from '../../src/shared/layout.ts'
import { builtinModels } from '../../src/shared/models/builtin.ts'
import { createModelStore } from '../../src/shared/models/model-store.ts'
import { openQueue } from '../../src/shared/open-queue.ts'
import { createQuarantine } from '../../src/shared/quarantine.ts'
import { copyOptions, entryIds, workerOptions } from '../../src/shared/queues.ts'
import { openScratch } from '../../src/shared/scratch.ts'
import { createSourceReader } from '../../src/shared/source.ts'
import type { WorkContext } from '../../src/shared/workload.ts'
import { createBatchWork } from '../../src/worker/batch-workload.ts'
import { committedBatch } from '../../src/worker/committed-batch.ts'
import { createImageScorer } from '../../src/worker/items/score-images.ts'
import { createEngineRack } from '../../src/worker/engine-rack.ts'
import { passOwnCopyBy } from '../../src/worker/own-copy.ts'
import { createScorer } from '../../src/worker/score-batch.ts'
import { makeClip } from '../support/clips.ts'
import { planOf, specOf } from '../support/jobs.ts'
import { type TestServices, silent, startServices } from '../support/services.ts'
import { tempDir } from '../support/temp-dir.ts'

const dir = tempDir()
const frames = 160
const first = 150
let services: TestServices
let media: BlobStore
beforeAll(async () => {
  services = await startServices()
  media = await services.container()
  const clip = await makeClip({ path: join(dir, 'clip.mp4'), frames, size: '160x90', sound: false })
  await media.uploadFile('in/clip.mp4', clip)
  const models = createModelStore(media)
  for (const { manifest, bytes } of builtinModels()) await models.put(manifest, bytes)
})
afterAll(async () => await services?.stop())

/** A job of two batches that is being scored. */
async function aJob() {
  const redis = services.connect()
  const prefix = services.prefix()
  const files = createJobFiles(media)
  const sources = createSourceReader(media, createFileCache({ dir: join(dir, 'look'), maxBytes: 1e9 }))
  const { name, version, sha256 } = await createModelStore(media).resolve('passthrough')
  const spec = specOf(undefined, {
    source: await sources.look(media.url('in/clip.mp4')),
    model: { name, version, sha256 },
  })
  const { id } = spec
  const empty = planOf(id, 2)
  const plan: Plan = {
    ...empty,
    video: { ...empty.video, width: 160, height: 90, timeBase: [1, 12_800] },
    ...{ times: { first: 0, runs: [512, frames - 1] }, frames, batches: [first, frames - first] },
  }
  await files.keepSpec(spec)
  await files.keepPlan(plan)
  const statuses = createJobStatuses(redis, prefix)
  await statuses.create({ id, createdAt: 1, model: 'm', source: 's' })
  await statuses.beginScoring(id, plan, new Map())
  const batch: BatchPayload = { jobId: id, index: 0, first: 0, count: first }
  return { id, redis, prefix, files, statuses, batch, copy: { ...batch, copyOf: 'slow/1' } }
}
type Job = Awaited<ReturnType<typeof aJob>>

/** What scores batches on a machine of its own. */
async function aMachine({ files, statuses }: Job, name: string, store: BlobStore = media) {
  const own = join(dir, name)
  const cache = createFileCache({ dir: join(own, 'cache'), maxBytes: 1e9 })
  const scratch = await openScratch(join(own, 'scratch'))
  const models = createModelStore(media)
  const wish = { device: 'cpu', deviceId: 0, threads: 1 } as const
  const engines = createEngineRack({ models, media, cache, log: silent, wish })
  const sources = createSourceReader(media, cache)
  const images = createImageScorer({ media: store, sources, models, engines })
  const score = createScorer({
    ...{ files, statuses, media: store, scratch, engines, sources, models },
    scorers: { images, table: images },
  })
  let decoded = 0
  return {
    score: async (batch: BatchPayload, more: { again?: boolean; signal?: AbortSignal } = {}) =>
      await score(batch, {
        ...{ signal: more.signal ?? new AbortController().signal, log: silent },
        manner: { again: more.again ?? false },
        onScoring() {},
        onDecoded: () => decoded++,
      }),
    decoded: () => decoded,
    /** Its ffmpeg programs, once there are some. */
    async programs(): Promise<Victim[]> {
      for (;;) {
        const found: Victim[] = []
        for (const program of await descendantsOf(process.pid)) {
          const line = await readFile(`/proc/${program.pid}/cmdline`, 'utf8').catch(() => '')
          if (program.name === 'ffmpeg' && line.includes(own)) found.push(program)
        }
        if (found.length > 0) return found
      }
    },
    async leftovers(): Promise<string[]> {
      const folders = await readdir(join(own, 'scratch'))
      return (await Promise.all(folders.map((folder) => readdir(join(own, 'scratch', folder))))).flat()
    },
  }
}

const segmentOf = async ({ id }: Job) => await media.read(layout.segment(id, 0))

async function stopped(machine: Awaited<ReturnType<typeof aMachine>>): Promise<Victim[]> {
  const programs = await machine.programs()
  for (const program of programs) await signal(program, 'SIGSTOP')
  return programs
}

test('of two that commit at the same moment one does, it is counted once, and its bytes are those of any', async () => {
  const alone = await aJob()
  const reference = await (await aMachine(alone, 'alone')).score(alone.batch)
  expect(reference).toMatchObject({
    frames: first,
    model: expect.stringMatching(/^passthrough@/),
    size: '160x90',
  })
  expect(reference.ms).toMatchObject({ fetch: expect.any(Number), setUp: expect.any(Number) })

  const job = await aJob()
  const both = Promise.withResolvers<void>()
  let arrived = 0
  /** Real storage, but whoever comes to commit waits for the other. */
  const together = new Proxy(media, {
    get: (store, name, self) =>
      name === 'uploadFile'
        ? async (...args: Parameters<BlobStore['uploadFile']>) => {
            if (++arrived === 2) both.resolve()
            await both.promise
            return await store.uploadFile(...args)
          }
        : (Reflect.get(store, name, self) as unknown),
  })
  const machines = [await aMachine(job, 'one', together), await aMachine(job, 'two', together)] as const
  const results = await Promise.all([machines[0].score(job.batch), machines[1].score(job.copy)])
  expect(arrived).toBe(2)
  expect(results.filter(({ skipped }) => skipped === 'committed')).toHaveLength(1)
  expect(results.filter(({ skipped }) => skipped === undefined)).toHaveLength(1)
  for (const result of results) expect(result).toMatchObject({ frames: first, replaced: [], through: [] })
  expect((await segmentOf(job))?.equals((await segmentOf(alone)) ?? Buffer.alloc(0))).toBe(true)
  expect(await job.statuses.get(job.id)).toMatchObject({ framesDone: first, framesTotal: frames })
  expect([...(await machines[0].leftovers()), ...(await machines[1].leftovers())]).toEqual([])
})

test('a slow batch ends soon after its copy was committed, and leaves nothing behind', async () => {
  const job = await aJob()
  const slow = await aMachine(job, 'slow')
  const working = slow.score(job.batch)
  const programs = await stopped(slow)
  const other = await aMachine(job, 'other')
  expect(await other.score(job.copy)).toMatchObject({ frames: first, device: 'cpu' })
  expect(await job.statuses.get(job.id)).toMatchObject({ framesDone: first })
  const committed = performance.now()
  expect(await working).toEqual({ frames: first, replaced: [], through: [], ms: {}, skipped: 'committed' })
  // A second until it hears, two until what does not heed SIGTERM is killed.
  expect(performance.now() - committed).toBeLessThan(15_000)
  expect(await slow.leftovers()).toEqual([])
  for (const program of programs) await expect.poll(async () => (await readStat(program)) === '').toBe(true)
  expect(await job.statuses.get(job.id)).toMatchObject({ framesDone: first })
})

const readStat = async ({ pid }: Victim) => await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')

test('a copy of what is committed, halted or over is skipped at once, and shows no progress', async () => {
  const job = await aJob()
  const machine = await aMachine(job, 'skips')
  const committed = { frames: first, replaced: [], through: [], ms: {}, skipped: 'committed' }
  const halted = { frames: 0, replaced: [], through: [], ms: {}, skipped: 'halted' }
  await machine.score(job.batch)
  expect(machine.decoded()).toBe(1)
  expect(await machine.score(job.copy)).toEqual(committed)
  const second: BatchPayload = { jobId: job.id, index: 1, first, count: frames - first, copyOf: 'slow/1' }
  await job.statuses.halt(job.id, 'cancelled')
  expect(await machine.score(second)).toEqual(halted)
  await job.statuses.end(job.id, 'cancelled', {})
  await media.remove([layout.segment(job.id, 0)])
  expect(await machine.score(job.copy)).toEqual(halted)
  expect(machine.decoded()).toBe(1)
  expect(await media.head(layout.segment(job.id, 0))).toBeUndefined()
})

test('a copy at work when its job ends, ends too', async () => {
  const job = await aJob()
  const slow = await aMachine(job, 'late')
  const working = slow.score(job.copy)
  await stopped(slow)
  expect((await job.statuses.get(job.id))?.framesDone).toBe(0)
  await job.statuses.end(job.id, 'succeeded', {})
  expect(await working).toMatchObject({ frames: 0, skipped: 'halted' })
  expect(await slow.leftovers()).toEqual([])
})

test('that a batch is committed is not believed of Redis alone: one whose segment is lost is made again', async () => {
  const job = await aJob()
  await job.statuses.commit(job.id, 0, first)
  const asked = Promise.withResolvers<void>()
  let heads = 0
  const watched = new Proxy(media, {
    get: (store, name, self) =>
      name === 'head'
        ? async (blob: string) => {
            const found = await store.head(blob)
            if (blob === layout.segment(job.id, 0) && ++heads === 2) asked.resolve()
            return found
          }
        : (Reflect.get(store, name, self) as unknown),
  })
  const machine = await aMachine(job, 'again', watched)
  const working = machine.score(job.batch)
  const programs = await stopped(machine)
  await asked.promise
  for (const program of programs) await signal(program, 'SIGCONT')
  const result = await working
  expect(result.skipped).toBeUndefined()
  expect(await segmentOf(job)).toBeDefined()
  expect(await job.statuses.get(job.id)).toMatchObject({ framesDone: first })
})

/** What a worker does with batches, whatever scoring them comes to. */
function work({ redis, prefix, statuses }: Job, score: () => Promise<BatchResult>) {
  const quarantined: string[] = []
  const { workload, end } = createBatchWork({
    ...{ score, statuses, incidents: createIncidents(redis, prefix) },
    committed: async (batch) => await committedBatch(media, batch),
    quarantine: {
      async put({ entry }) {
        quarantined.push(entry)
        return await Promise.resolve('id')
      },
    },
  })
  const context = (aborted = false): WorkContext => ({
    ...{ log: pino({ level: 'silent' }), attempt: 1, again: false, failures: {} },
    signal: aborted ? AbortSignal.abort() : new AbortController().signal,
    childFailures: async () => await Promise.resolve({}),
  })
  return { quarantined, end, process: workload(() => {}).process, context }
}

const broken = async () => await Promise.reject(new Error('the engine died'))

test('a copy is for any worker but the one that has its batch; it needs no parent, and nothing is left of it', async () => {
  const job = await aJob()
  const over = { connection: services.connect(), prefix: job.prefix }
  const queue = new Queue('batch', over)
  const put = await queue.add('batch', job.copy, {
    ...copyOptions,
    jobId: entryIds.copy(job.id, 0),
    priority: 7,
  })
  const taken: string[] = []
  const take = (me: string) =>
    new Worker(
      'batch',
      async (entry, token) => {
        taken.push(me)
        await passOwnCopyBy(entry, token, me)
      },
      { ...workerOptions('batch'), ...over },
    )
  const slow = take('slow/1')
  while ((await put.getState()) !== 'delayed');
  expect(await queue.getJob(put.id ?? '')).toMatchObject({ attemptsMade: 0, priority: 7 })
  const other = take('other/2')
  await new Promise<void>((resolve) => other.once('completed', () => resolve()))
  expect(taken.filter((me) => me === 'other/2')).toHaveLength(1)
  expect(await queue.getJob(put.id ?? '')).toBeUndefined()
  expect(await queue.getJobCounts()).toMatchObject({ active: 0, delayed: 0, prioritized: 0, failed: 0 })
  await Promise.all([slow.close(), other.close(), queue.close()])
})

test('a copy that waits is no garbage, keeps no job from ending, and is none of what is mended', async () => {
  const job = await aJob()
  const on = openFlows(job.redis, { prefix: job.prefix, files: job.files, log: silent })
  const spec = await job.files.spec(job.id)
  const plan = await job.files.plan(job.id)
  await addFlow(on, spec)
  await addBatches(on, spec, plan, { committed: async () => await Promise.resolve(new Map()) })
  await on.queues.split.remove(entryIds.split(job.id))
  const id = entryIds.copy(job.id, 0)
  const copy = await on.queues.batch.add('batch', job.copy, { ...copyOptions, jobId: id, priority: 7 })

  const kept = openQueue('quarantine', { connection: job.redis, prefix: job.prefix })
  const sweeper = createSweeper({
    ...{ redis: job.redis, prefix: job.prefix, quarantine: createQuarantine(kept), log: silent },
    ...{ heal: async (each) => await resumeJob(on, each), openJobs: job.files.openJobs, settledMs: 0 },
  })
  const nothing = { quarantined: 0, relisted: 0, healed: 0 }
  expect(await sweeper.run(new AbortController().signal)).toEqual(nothing)
  expect(await resumeJob(on, job.id)).toBe('running')
  expect(await cancelJob(on, job.id)).toBe('cancelled')
  const stitch = async () => await on.queues.stitch.getJobState(entryIds.stitch(job.id))
  await expect.poll(stitch).toBe('waiting')
  // Whoever takes it drops it: see above.
  expect(await copy.getState()).toBe('prioritized')
  await Promise.all([on.close(), kept.close()])
})

test('a copy that fails for good halts nothing and puts nothing into quarantine; its batch does', async () => {
  const job = await aJob()
  const { end, quarantined } = work(job, broken)
  await end(job.copy, new Error('it failed'))
  expect(await job.statuses.halted(job.id)).toBeUndefined()
  expect(quarantined).toEqual([])
  await end(job.batch, new Error('it failed'))
  expect(await job.statuses.halted(job.id)).toBe('failed')
  expect(quarantined).toHaveLength(1)
})

test('a batch that fails while its copy went well has not failed', async () => {
  const job = await aJob()
  const { process, context } = work(job, broken)
  await expect(process(job.batch, context())).rejects.toThrow('the engine died')
  await (await aMachine(job, 'well')).score(job.copy)
  expect(await process(job.batch, context())).toMatchObject({ frames: first, skipped: 'committed' })
  // One that was told to leave is given back, whatever is there.
  await expect(process(job.batch, context(true))).rejects.toThrow('the engine died')
})
