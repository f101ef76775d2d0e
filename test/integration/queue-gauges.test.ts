import { randomUUID } from 'node:crypto'
import { Registry } from 'prom-client'
import { expect, test } from 'vitest'
import { createQueueGauges } from '../../src/producer/queue-gauges.ts'
import { createBacklog } from '../../src/shared/backlog.ts'
import { createJobStatuses } from '../../src/shared/job-status.ts'
import { openQueue } from '../../src/shared/open-queue.ts'
import { createQuarantine } from '../../src/shared/quarantine.ts'
import { connectRedis } from '../../src/shared/redis.ts'
import { createWorkerRegistry } from '../../src/shared/worker-registry.ts'
import { byUrl, silent } from '../support/services.ts'
import { closedAfterEach, useServices } from '../support/use-services.ts'
import { aWorker } from '../support/workers.ts'

const services = useServices()
const open = closedAfterEach()

function setUp(redis = services.connect()) {
  const prefix = services.prefix()
  const queue = (name: 'split' | 'batch' | 'stitch' | 'quarantine') => {
    const opened = openQueue(name, { connection: redis, prefix })
    open.push(opened)
    return opened
  }
  const registry = new Registry()
  const queues = {
    ...{ split: queue('split'), batch: queue('batch'), stitch: queue('stitch') },
    quarantine: queue('quarantine'),
  }
  const statuses = createJobStatuses(redis, prefix)
  const backlog = createBacklog(redis, prefix)
  const workers = createWorkerRegistry(redis, prefix)
  createQueueGauges(registry, { queues, statuses, backlog, workers, hourPrice: 0.75 })
  const told = async () =>
    Object.fromEntries(
      (await registry.metrics())
        .split('\n')
        .filter((line) => line !== '' && !line.startsWith('#'))
        .map((line) => line.split(' '))
        .map(([name, value]) => [name, Number(value)]),
    )
  return { redis, queues, statuses, backlog, workers, told }
}

test('what waits, how long, who is there and what is in quarantine', async () => {
  const { queues, statuses, backlog, workers, told, redis } = setUp()
  const [waiting, done] = [randomUUID(), randomUUID()]
  for (const id of [waiting, done]) {
    await statuses.create({ id, createdAt: Date.now(), model: 'm@1', source: 's' })
    await backlog.put(id, 'me', 30)
    await statuses.beginScoring(id, { frames: 30, batches: [10, 10, 10] }, new Map())
  }
  // The one has a batch that nobody has begun, of the other all are done or under way.
  await statuses.commit(waiting, 0, 10)
  await statuses.progress(waiting, 1, 3)
  for (const index of [0, 1]) await statuses.commit(done, index, 10)
  await statuses.progress(done, 2, 1)
  const [hash] = (await redis.keys(`*:job:${waiting}`)).filter((key) => key.endsWith(waiting))
  await redis.hset(hash ?? '', 'scoringAt', Date.now() - 90_000)
  const [other] = (await redis.keys(`*:job:${done}`)).filter((key) => key.endsWith(done))
  await redis.hset(other ?? '', 'scoringAt', Date.now() - 900_000)
  await queues.batch.addBulk([1, 2, 3].map((priority) => ({ name: 'batch', data: {}, opts: { priority } })))
  await queues.split.add('split', {}, { delay: 60_000 })
  await workers.beat(aWorker('a/1', { state: 'busy' }))
  await workers.beat(aWorker('b/1'))
  await createQuarantine(queues.quarantine).put({
    ...{ v: 1, at: new Date().toISOString(), queue: 'batch', entry: 'e', jobId: waiting, reason: 'poison' },
    ...{ message: 'm', frames: [1], incidents: [], payload: '{}' },
  })
  const found = await told()
  expect(found).toMatchObject({
    'framefleet_queue_entries{queue="batch",state="waiting"}': 3,
    'framefleet_queue_entries{queue="batch",state="active"}': 0,
    'framefleet_queue_entries{queue="split",state="delayed"}': 1,
    framefleet_quarantine_entries: 1,
    framefleet_open_jobs: 2,
    'framefleet_workers{state="busy"}': 1,
    'framefleet_workers{state="idle"}': 1,
    'framefleet_workers{state="held"}': 0,
    framefleet_worker_hour_price: 0.75,
  })
  expect(found['framefleet_oldest_batch_seconds']).toBeGreaterThanOrEqual(90)
  expect(found['framefleet_oldest_batch_seconds']).toBeLessThan(120)
  expect(found['framefleet_line_frames']).toBe(30)
})

test('where nothing waits the oldest is 0, and while Redis is away nothing is said that is not known', async () => {
  const { told } = setUp()
  expect(await told()).toMatchObject({ framefleet_oldest_batch_seconds: 0, framefleet_open_jobs: 0 })
  const away = connectRedis(byUrl('redis://127.0.0.1:1'), silent, { name: 'away', patient: false })
  const { told: toldNothing } = setUp(away)
  expect(Object.keys(await toldNothing())).toEqual(['framefleet_worker_hour_price'])
  away.disconnect()
})
