import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Queue } from 'bullmq'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { descendantsOf, signal } from '../../scripts/chaos/processes.ts'
import type { WorkerRecord } from '../../src/shared/fleet.ts'
import type { BatchPayload } from '../../src/shared/job.ts'
import { copyOptions, entryIds } from '../../src/shared/queues.ts'
import { createRates } from '../../src/shared/rates.ts'
import { createWorkerRegistry } from '../../src/shared/worker-registry.ts'
import { makeClip } from '../support/clips.ts'
import { compareVideo } from '../support/compare-video.ts'
import { type TestStack, startTestStack } from '../support/stack.ts'
import { tempDir } from '../support/temp-dir.ts'

const dir = tempDir()
const prefix = '{framefleet}'
const clip = join(dir, 'clip.mp4')
const frames = 600
let stack: TestStack
let redis: Redis
let queue: Queue
let registry: ReturnType<typeof createWorkerRegistry>
beforeAll(async () => {
  await makeClip({ path: clip, frames, size: '320x180' })
  stack = await startTestStack({ workers: 2, restart: false })
  redis = new Redis(stack.stack.env['FRAMEFLEET_REDIS_URL'] ?? '')
  queue = new Queue('batch', { connection: redis, prefix })
  registry = createWorkerRegistry(redis, prefix)
})
afterAll(async () => {
  await queue?.close()
  redis?.disconnect()
  await stack?.stop()
})

const options = { batch: { frames: frames / 2 } }
const sha256 = async (id: string) =>
  ((await stack.api.report(id)) as { output: { sha256: string } }).output.sha256
const pidOf = ({ id }: Pick<WorkerRecord, 'id'>) => Number(/\/(\d+)-/.exec(id)?.[1])

async function workersThat(wanted: (workers: WorkerRecord[]) => boolean): Promise<WorkerRecord[]> {
  for (;;) {
    const workers = await registry.list()
    if (wanted(workers)) return workers
  }
}

let reference = ''

test('workers are in the registry, and what they measured is known', async () => {
  const there = await workersThat((workers) => workers.length === 2)
  expect(there.map(({ state }) => state)).toEqual(['idle', 'idle'])
  const pids = stack.stack.workers().map(({ process }) => process.pid)
  expect(new Set(there.map(pidOf))).toEqual(new Set(pids))
  reference = await stack.submit(clip, options)
  await stack.ends(reference)
  expect(await redis.hget(`${prefix}:job:${reference}`, 'size')).toBe('320x180')
  const after = await workersThat((workers) => workers.reduce((sum, each) => sum + each.batches, 0) === 2)
  const busy = after.find(({ batches }) => batches > 0)
  expect(busy).toMatchObject({ device: 'cpu', models: [expect.stringMatching(/^passthrough@\S+ 320x180$/)] })
  expect(busy?.framesPerSecond).toBeGreaterThan(0)
  const [rate] = await createRates(redis, prefix).all()
  expect(rate).toMatchObject({ model: busy?.models[0]?.split(' ')[0], size: '320x180', device: 'cpu' })
  expect(rate?.secondsPerFrame).toBeGreaterThan(0)
  expect(rate?.secondsPerFrame).toBeLessThan(10)
})

test('a worker on an instance that is held takes nothing until it is recalled', async () => {
  const [one, other] = await registry.list()
  await registry.hold([one?.instance ?? ''])
  await workersThat((workers) => workers.some(({ id, state }) => id === one?.id && state === 'held'))
  const id = await stack.submit(clip, options)
  expect(await stack.ends(id)).toMatchObject({ status: 'succeeded' })
  for (const index of [0, 1])
    expect((await queue.getJob(entryIds.batch(id, index)))?.processedBy).toBe(other?.id)
  await registry.recall([one?.instance ?? ''])
  await workersThat((workers) => workers.every(({ state }) => state === 'idle'))
})

test('the copy of a batch that is dead slow ends the job, and its frames are those of any other', async () => {
  const id = await stack.submit(clip, options)
  const first = entryIds.batch(id, 0)
  // Its programs are stopped, one or all of them: what has it lives, renews its lease and gets nowhere.
  const slow = await claimed(first)
  const programs = await programsOf(slow)
  for (const program of programs) await signal(program, 'SIGSTOP')
  const stoppedAt = Date.now()
  const payload = (await queue.getJob(first))?.data as BatchPayload
  const copy = { ...copyOptions, jobId: entryIds.copy(id, 0), priority: 1 }
  await queue.add('batch', { ...payload, copyOf: slow }, copy)

  const output = await stack.fetchOutput(id, join(dir, 'out.mp4'))
  // Long before what is stopped would have been given up.
  expect(Date.now() - stoppedAt).toBeLessThan(50_000)
  const found = await compareVideo(clip, output)
  expect(found).toMatchObject({ frames: [frames, frames], outOfPlace: 0, worstTimeMs: 0 })
  expect(await sha256(id)).toBe(await sha256(reference))
  expect(await queue.getJob(first)).toMatchObject({
    ...{ attemptsMade: 1, processedBy: slow, returnvalue: { skipped: 'committed', frames: frames / 2 } },
  })
  // It was another worker's, and nothing is left of it.
  expect(await queue.getJob(entryIds.copy(id, 0))).toBeUndefined()
  const lines = (await Promise.all(stack.stack.workers().map(({ name }) => logOf(name)))).flat()
  const done = lines.filter(({ msg, entry }) => msg === 'batch done' && entry === entryIds.copy(id, 0))
  expect(done).toHaveLength(1)
  expect(done[0]?.pid).not.toBe(pidOf({ id: slow }))
  expect(done[0]).toMatchObject({ frames: frames / 2 })
  expect(done[0]?.skipped).toBeUndefined()
})

test('nobody has to ask for that copy: the producer sees who is slow', async () => {
  const id = await stack.submit(clip, options)
  const slow = await claimed(entryIds.batch(id, 0))
  for (const program of await programsOf(slow)) await signal(program, 'SIGSTOP')
  const stoppedAt = Date.now()
  expect(await stack.ends(id)).toMatchObject({ status: 'succeeded' })
  expect(Date.now() - stoppedAt).toBeLessThan(50_000)
  expect(await sha256(id)).toBe(await sha256(reference))
  const copied = (await logOf('producer')).filter(
    (line) => line.msg === 'a slow batch was copied' && line.job === id,
  )
  expect(copied).toMatchObject([{ batch: 0, worker: slow }])
})

async function claimed(entry: string): Promise<string> {
  for (;;) {
    const worker = (await queue.getJob(entry))?.processedBy
    if (worker !== undefined) return worker
  }
}

async function programsOf(worker: string) {
  for (;;) {
    const below = await descendantsOf(pidOf({ id: worker }))
    const found = below.filter(({ name }) => name === 'ffmpeg')
    if (found.length > 0) return found
  }
}

type Line = {
  msg: string
  pid: number
  job?: string
  batch?: number
  worker?: string
  entry?: string
  frames?: number
  skipped?: string
}

async function logOf(name: string): Promise<Line[]> {
  const text = await readFile(join(stack.dir, 'logs', `${name}.ndjson`), 'utf8')
  return text
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as Line)
}
