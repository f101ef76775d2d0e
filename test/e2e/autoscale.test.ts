import { readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { Queue } from 'bullmq'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { processesWith } from '../../scripts/chaos/processes.ts'
import { entryIds } from '../../src/shared/queues.ts'
import { type Service, startRole } from '../../src/shared/role-process.ts'
import { createWorkerRegistry } from '../../src/shared/worker-registry.ts'
import { makeClip } from '../support/clips.ts'
import { compareVideo } from '../support/compare-video.ts'
import { type TestStack, startTestStack } from '../support/stack.ts'
import { tempDir } from '../support/temp-dir.ts'

const dir = tempDir()
const prefix = '{framefleet}'
const max = 3
const batches = 20
const framesEach = 30
const frames = batches * framesEach
const source = join(dir, 'source.mp4')
let stack: TestStack
let redis: Redis
let queue: Queue

beforeAll(async () => {
  await makeClip({ path: source, frames, size: '320x180' })
  stack = await startTestStack({
    autoscale: { min: 0, max },
    // So little a time that what there is asks for all of them.
    env: { FRAMEFLEET_BACKLOG_SECONDS: '1', FRAMEFLEET_START_SECONDS: '0.5', FRAMEFLEET_TICK_SECONDS: '0.5' },
  })
  redis = new Redis(stack.stack.env['FRAMEFLEET_REDIS_URL'] ?? '')
  queue = new Queue('batch', { connection: redis, prefix })
})
afterAll(async () => {
  await queue?.close()
  redis?.disconnect()
  await stack?.stop()
})

const submit = async () => await stack.submit(source, { model: 'relief', batch: { frames: framesEach } })

/** Submits while the fleet is paused, until all batches are on the queue: then all that is needed is started at once. */
async function submitAtOnce(): Promise<string> {
  await setFleet({ paused: true })
  while ((await fleet()).autoscaler?.why !== 'paused') await pause(50)
  const id = await submit()
  await stack.until(id, ({ status }) => status === 'scoring')
  expect(await workers()).toBe(0)
  await setFleet({ paused: false })
  return id
}

const fleet = async () =>
  (await (await stack.call('GET', '/v1/fleet')).json()) as { autoscaler: { why: string } | null }

async function setFleet(settings: Record<string, unknown>): Promise<void> {
  const headers = { 'content-type': 'application/json' }
  const answer = await stack.call('PUT', '/v1/fleet', { body: JSON.stringify(settings), headers })
  expect(answer.status).toBe(200)
}

const workers = async () =>
  (await processesWith(stack.dir)).filter((command) => command.includes('src/worker/main.ts')).length

/** Waits until there are so many worker processes; answers the most that there were meanwhile. */
async function until(wanted: (count: number) => boolean): Promise<number> {
  for (let most = 0; ; await pause(50)) {
    const count = await workers()
    most = Math.max(most, count)
    if (wanted(count)) return most
  }
}

async function someAreHeld(): Promise<void> {
  const registry = createWorkerRegistry(redis, prefix)
  while ((await registry.held()).length === 0) await pause(20)
}

/** Every batch was begun once and done once: nobody was interrupted. */
async function expectUninterrupted(id: string, { claims }: { claims: number[] }): Promise<void> {
  const entries = await Promise.all(
    Array.from({ length: batches }, async (_, index) => await queue.getJob(entryIds.batch(id, index))),
  )
  for (const entry of entries) expect(entry).toMatchObject({ attemptsMade: 1, stalledCounter: 0 })
  expect(claims).toEqual(expect.arrayContaining(entries.map((entry) => entry?.attemptsStarted)))
  for (const log of await logs()) expect(log).not.toContain('given back')
}

async function expectExact(id: string): Promise<void> {
  expect(await stack.ends(id)).toMatchObject({ status: 'succeeded', frames: { done: frames, total: frames } })
}

const logs = async () => {
  const names = (await readdir(join(stack.dir, 'logs'))).filter((name) => name.startsWith('worker-'))
  return await Promise.all(names.map(async (name) => await readFile(join(stack.dir, 'logs', name), 'utf8')))
}

test('workers come when there is work, and go when it is done; no batch is interrupted by it', async () => {
  expect(await workers()).toBe(0)
  const id = await submitAtOnce()
  await until((count) => count === max)
  await expectExact(id)
  expect(await until((count) => count === 0)).toBeLessThanOrEqual(max)
  await expectUninterrupted(id, { claims: [1] })
  const written = await logs()
  expect(written.length).toBe(max)
  for (const log of written) expect(log).not.toMatch(/"level":"(?:warn|error|fatal)"/)
})

test('what comes in while workers are being let go is served, and nobody is interrupted then either', async () => {
  const first = await submit()
  await stack.ends(first)
  await someAreHeld()
  const second = await submit()
  await expectExact(second)
  await until((count) => count === 0)
  await expectUninterrupted(first, { claims: [1] })
  // A claim that was on its way when a worker was told to hold is put back before anything is done with it.
  await expectUninterrupted(second, { claims: [1, 2] })
})

test('two autoscalers share one fleet; one is killed in the middle, and nothing is lost or left', async () => {
  const second: Service = await startRole({
    name: 'autoscaler-2',
    main: new URL('../../src/autoscaler/main.ts', import.meta.url),
    env: stack.stack.env,
    logFile: join(stack.dir, 'logs', 'autoscaler-2.ndjson'),
  })
  try {
    const id = await submitAtOnce()
    await until((count) => count === max)
    await stack.until(id, ({ frames }) => frames.done > 2 * framesEach)
    const [first] = stack.stack.roles().filter(({ name }) => name === 'autoscaler')
    first?.process.kill('SIGKILL')
    await expectExact(id)
    const output = await stack.fetchOutput(id, join(dir, 'out.mp4'))
    expect(await compareVideo(source, output)).toMatchObject({ frames: [frames, frames], worstTimeMs: 0 })
    // Those of the dead one leave while others come in their place.
    expect(await until((count) => count === 0)).toBeLessThanOrEqual(2 * max)
    while ((await readdir(join(stack.dir, 'fleet'))).length > 0) await pause(50)
  } finally {
    await second.stop(10_000)
  }
})
