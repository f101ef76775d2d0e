import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { type IncomingMessage, createServer } from 'node:http'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { Queue } from 'bullmq'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Service, startRole } from '../../src/shared/role-process.ts'
import { entryIds } from '../../src/shared/queues.ts'
import { type WorkerRegistry, createWorkerRegistry } from '../../src/shared/worker-registry.ts'
import { makeClip } from '../support/clips.ts'
import { type TestStack, startTestStack } from '../support/stack.ts'
import { tempDir } from '../support/temp-dir.ts'

const dir = tempDir()
const clip = join(dir, 'clip.mp4')
let stack: TestStack
let queue: Queue
let redis: Redis
let registry: WorkerRegistry
let imdsUrl = ''
/** What the machine's metadata service says of coming events, and what it was told. */
let says: () => string
const acknowledged: { body: unknown; underWay: number }[] = []

const imds = createServer((request, answer) => {
  if (request.headers['metadata'] !== 'true') answer.writeHead(400).end()
  else if (request.url?.startsWith('/metadata/instance/compute/name')) answer.end('spot_7')
  else if (request.method === 'POST') void hear(request).then(() => answer.end())
  else answer.end(says())
})

async function hear(request: IncomingMessage): Promise<void> {
  const body = JSON.parse(await text(request)) as unknown
  acknowledged.push({ body, underWay: await queue.getActiveCount() })
}

const nothing = () => JSON.stringify({ DocumentIncarnation: 1, Events: [] })
const announced = (EventId: string, seconds: number) => {
  const NotBefore = new Date(Date.now() + seconds * 1_000).toUTCString()
  const event = { EventType: 'Preempt', ResourceType: 'VirtualMachine', EventStatus: 'Scheduled', NotBefore }
  const Events = [
    { ...event, EventId: 'of-another', Resources: ['spot_8'], NotBefore: '' },
    { ...event, EventId, Resources: ['spot_7'] },
  ]
  return () => JSON.stringify({ DocumentIncarnation: 2, Events })
}

beforeAll(async () => {
  imds.listen(0, '127.0.0.1')
  await once(imds, 'listening')
  imdsUrl = `http://127.0.0.1:${(imds.address() as { port: number }).port}`
  stack = await startTestStack({ workers: 0, env: { FRAMEFLEET_PLAN_WORKERS: '1' } })
  queue = new Queue('batch', {
    connection: { url: stack.stack.env['FRAMEFLEET_REDIS_URL'] },
    prefix: '{framefleet}',
  })
  redis = new Redis(stack.stack.env['FRAMEFLEET_REDIS_URL'] ?? '')
  registry = createWorkerRegistry(redis, '{framefleet}')
  await makeClip({ path: clip, frames: 600, size: '320x180' })
})
afterAll(async () => {
  await queue?.close()
  redis?.disconnect()
  imds.close()
  await stack?.stop()
})

const log = (name: string) => join(stack.dir, 'logs', `${name}.ndjson`)

async function startWorker(name: string): Promise<{ worker: Service; ended: Promise<unknown[]> }> {
  const worker = await startRole({
    name,
    main: new URL('../../src/worker/main.ts', import.meta.url),
    env: { ...stack.stack.env, FRAMEFLEET_IMDS_URL: imdsUrl },
    logFile: log(name),
  })
  return { worker, ended: once(worker.process, 'exit') }
}

/** Until one that is still busy says so in the registry. */
async function leavesFor(why: string): Promise<void> {
  while (!(await registry.list()).some(({ leaving, state }) => leaving === why && state === 'draining'));
}

let id = ''

test('a machine that is taken away gives its batch back within the notice; the last of its workers says so', async () => {
  says = nothing
  const { worker, ended } = await startWorker('preempted')
  const idle = await startWorker('idle')
  try {
    // One batch of all frames, longer than the notice.
    id = await stack.submit(clip, { model: 'great-wave', batch: { frames: 600 } })
    await stack.until(id, ({ frames }) => frames.done > 0)
    expect((await registry.list()).map(({ instance }) => instance)).toEqual(['spot_7', 'spot_7'])
    const told = Date.now()
    says = announced('taken', 6)
    expect(await Promise.all([ended, idle.ended])).toEqual([
      [0, null],
      [0, null],
    ])
    // Half of what a spot machine is given.
    expect(Date.now() - told).toBeLessThan(15_000)
    const entry = await queue.getJob(entryIds.batch(id, 0))
    // The idle one, which hears up to a second later, may have taken it for that long: no attempt is spent by either.
    expect(entry).toMatchObject({ attemptsMade: 0 })
    expect(await entry?.getState()).toBe('prioritized')
    expect(acknowledged).toEqual([{ body: { StartRequests: [{ EventId: 'taken' }] }, underWay: 0 }])
    expect(await registry.list()).toEqual([])
  } finally {
    await Promise.all([worker.stop(10_000), idle.worker.stop(10_000)])
  }
})

test('with enough notice the batch is finished first; nonsense from the service is said once', async () => {
  let asked = 0
  says = () => (asked++ < 2 ? '<html>' : JSON.stringify({ Events: 'none' }))
  const { worker, ended } = await startWorker('finishing')
  try {
    await stack.until(id, ({ frames }) => frames.done > 60)
    says = announced('later', 600)
    await leavesFor('Preempt of this machine')
    expect(await ended).toEqual([0, null])
    expect(await queue.getJob(entryIds.batch(id, 0))).toMatchObject({ attemptsMade: 1 })
    expect(await stack.ends(id)).toMatchObject({ status: 'succeeded', frames: { done: 600, total: 600 } })
    expect(acknowledged.at(-1)).toEqual({ body: { StartRequests: [{ EventId: 'later' }] }, underWay: 0 })
    expect((await readFile(log('finishing'), 'utf8')).match(/scheduled events are not heard/g)).toHaveLength(
      1,
    )
  } finally {
    await worker.stop(10_000)
  }
})
