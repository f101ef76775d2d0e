import { Queue, Worker } from 'bullmq'
import { Registry } from 'prom-client'
import { expect, test } from 'vitest'
import { createWorkMetrics } from '../../src/shared/metrics.ts'
import { observeWorker } from '../../src/shared/queue-worker.ts'
import { HandWorker, createHands } from '../../src/worker/two-hands.ts'
import { silent } from '../support/services.ts'
import { useServices } from '../support/use-services.ts'

const services = useServices()

/** A queue whose list of waiting work somebody has written over. */
async function brokenQueue() {
  const prefix = services.prefix()
  const redis = services.connect()
  const queue = new Queue('work', { connection: redis, prefix })
  const wait = queue.toKey('wait')
  const registry = new Registry()
  const metrics = createWorkMetrics(registry)
  const count = async (name: 'errors' | 'pauses') =>
    (await metrics[name].get()).values.reduce((sum, { value }) => sum + value, 0)
  return {
    ...{ prefix, redis, queue, metrics, count },
    breakIt: async () => await redis.set(wait, 'mine'),
    async mendIt() {
      await redis.del(wait)
      await queue.add('work', {})
    },
    work(): Worker {
      const worker = new Worker('work', async () => await Promise.resolve(1), {
        ...{ prefix, connection: services.connect() },
      })
      observeWorker(worker, metrics, silent)
      return worker
    },
    /** Asks until the worker has paused so often. */
    async paused(times: number) {
      while ((await count('pauses')) < times) await redis.ping()
    },
  }
}

test('claims that fail do not spin, and go on by themselves once they can', async () => {
  const broken = await brokenQueue()
  const { queue } = broken
  await broken.breakIt()
  const worker = broken.work()
  await broken.paused(2)
  // Unhindered it would be thousands by now.
  expect(await broken.count('errors')).toBeLessThanOrEqual(6)
  const done = new Promise((resolve) => worker.once('completed', resolve))
  await broken.mendIt()
  await done
  await worker.close()
  await queue.close()
})

test('a worker that is leaving does not wait for its pause to end', async () => {
  const broken = await brokenQueue()
  const { queue } = broken
  await broken.breakIt()
  const worker = broken.work()
  // The third pause takes four seconds.
  await broken.paused(3)
  const began = performance.now()
  await worker.close()
  expect(performance.now() - began).toBeLessThan(3_000)
  await queue.close()
})

test('hands that take turns keep to them through a spell of failing claims', async () => {
  const broken = await brokenQueue()
  const { queue, prefix, metrics } = broken
  let atOnce = 0
  let most = 0
  let seen = 0
  const all = Promise.withResolvers<void>()
  const connection = services.connect()
  const hands = createHands(
    (process) => new HandWorker('work', process, { prefix, connection, autorun: false, concurrency: 1 }),
    async (_job, _token, _signal, passOn) => {
      most = Math.max(most, ++atOnce)
      if (++seen === 1) await broken.breakIt()
      await new Promise((resolve) => setImmediate(resolve))
      atOnce--
      passOn()
      if (seen === 4) all.resolve()
      return seen
    },
  )
  for (const worker of hands.workers) observeWorker(worker, metrics, silent)
  await queue.add('work', {})
  hands.begin()
  await broken.paused(1)
  await broken.mendIt()
  await queue.addBulk([1, 2].map(() => ({ name: 'work', data: {} })))
  await all.promise
  expect(most).toBe(1)
  hands.stop()
  await Promise.all(hands.workers.map(async (worker) => await worker.close()))
  await queue.close()
})
