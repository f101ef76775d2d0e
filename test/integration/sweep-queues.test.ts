import { FlowProducer, Queue, UnrecoverableError, Worker } from 'bullmq'
import { expect, test } from 'vitest'
import { createRawQueues } from '../../src/producer/raw-queues.ts'
import { createSweeper } from '../../src/producer/sweep-queues.ts'
import { createQuarantine } from '../../src/shared/quarantine.ts'
import { type AnyQueueName, entryIds, entryOptions, queues } from '../../src/shared/queues.ts'
import { silent } from '../support/services.ts'
import { useServices } from '../support/use-services.ts'

const services = useServices()

const jobId = 'b3a4d2f0-0000-4000-8000-000000000001'
const payload = (index: number) => ({ jobId, index, first: index * 30, count: 30 })

/** A running job's flow of `batches`, as the producer and its split put it on; and the sweep, with no worker about. */
async function flowOf(batches: number) {
  const prefix = services.prefix()
  const redis = services.connect()
  const queue = Object.fromEntries(
    Object.keys(queues).map((name) => [name, new Queue(name, { connection: redis, prefix })]),
  ) as Record<AnyQueueName, Queue>
  const flows = new FlowProducer({ connection: redis, prefix })
  const child = { ...entryOptions('batch', { isChild: true }), priority: 6 }
  await flows.add({
    ...{ name: 'stitch', queueName: 'stitch', data: { jobId } },
    opts: { ...entryOptions('stitch', { isChild: false }), jobId: entryIds.stitch(jobId) },
    children: Array.from({ length: batches }, (_, index) => ({
      ...{ name: 'batch', queueName: 'batch', data: payload(index) },
      opts: { ...child, jobId: entryIds.batch(jobId, index) },
    })),
  })
  const quarantine = createQuarantine(queue.quarantine)
  const healed: string[] = []
  const sweeper = createSweeper({
    ...{ redis, prefix, quarantine, log: silent },
    async *openJobs() {},
    heal: async (id) => {
      healed.push(id)
      return await Promise.resolve('resumed')
    },
  })
  return {
    ...{ prefix, redis, queue, quarantine, healed },
    key: (name: AnyQueueName, rest: string) => queue[name].toKey(rest),
    sweep: async () => await sweeper.run(new AbortController().signal),
    /** What is noted of each entry in quarantine. */
    async notes() {
      const { records } = await quarantine.list(0, 100)
      return Object.fromEntries(records.map(({ entry, message }) => [entry, message]))
    },
    waiting: async () => (await queue.batch.getPrioritized()).map(({ id }) => id ?? ''),
    async close() {
      await Promise.all([...Object.values(queue), flows].map(async (each) => await each.close()))
    },
  }
}

type Flow = Awaited<ReturnType<typeof flowOf>>
const batchId = (index: number) => entryIds.batch(jobId, index)
const ids = (...indexes: number[]) => indexes.map(batchId)

/** Writes an entry as somebody might who knows BullMQ's keys, but not its rules. */
async function write({ redis, key }: Flow, id: string, fields: Record<string, string>, list = 'wait') {
  const hash = { name: 'batch', data: JSON.stringify(payload(0)), opts: '{}', timestamp: '1', ...fields }
  await redis.hset(key('batch', id), hash)
  if (list === 'wait') await redis.lpush(key('batch', list), id)
  else await redis.zadd(key('batch', list), list === 'delayed' ? 1e18 : 1, id)
}

test("the autoscalers' queue is theirs: a scheduler's entries have ids and options of their own", async () => {
  const flow = await flowOf(1)
  await flow.queue.autoscale.upsertJobScheduler('tick', { every: 3_600_000 }, { name: 'tick', data: {} })
  const there = await flow.redis.keys(flow.key('autoscale', '*'))
  for (let i = 0; i < 3; i++) expect(await flow.sweep()).toEqual({ quarantined: 0, relisted: 0, healed: 0 })
  expect((await flow.redis.keys(flow.key('autoscale', '*'))).toSorted()).toEqual(there.toSorted())
  await flow.close()
})

test('nothing is taken off queues that are as they should be', async () => {
  const flow = await flowOf(5)
  expect(await flow.sweep()).toEqual({ quarantined: 0, relisted: 0, healed: 0 })
  expect(await flow.waiting()).toEqual(ids(0, 1, 2, 3, 4))
  await flow.close()
})

test('each kind of garbage goes to quarantine with its reason, out of Redis, and good entries stay', async () => {
  const flow = await flowOf(3)
  const { redis, key } = flow
  await redis.lpush(key('batch', 'wait'), 'nothing', Buffer.from([0xff, 0xfe, 0x00, 0x7b]))
  await write(flow, 'broken-data', { data: '{"jobId' })
  await write(flow, 'broken-options', { opts: 'attempts=3' })
  await write(flow, 'wrong-type', { data: '{"jobId":7,"index":"first"}' })
  await write(flow, 'unknown-name', { name: 'mine-coins' }, 'prioritized')
  await write(flow, 'a-billion', { opts: '{"attempts":1000000000}' }, 'failed')
  await write(flow, 'next-century', {}, 'delayed')
  await write(flow, 'large', { data: JSON.stringify({ jobId: 'x'.repeat(10 << 20) }) }, 'completed')
  await write(flow, 'counted', { ats: 'many' }, 'waiting-children')
  await redis.rpush(key('batch', 'a-list'), 'one', 'two')
  await redis.zadd(key('batch', 'prioritized'), 1, 'a-list')
  await redis.lpush(key('batch', 'active'), 'taken')

  expect(await flow.sweep()).toMatchObject({ quarantined: 12, healed: 0 })
  const notes = await flow.notes()
  expect(Object.keys(notes)).toHaveLength(12)
  expect(notes).toMatchObject({
    nothing: expect.stringContaining('has no content'),
    'broken-data': expect.stringContaining('data that is not JSON'),
    'broken-options': expect.stringContaining('opts that is not JSON'),
    'wrong-type': expect.stringContaining('payload that does not fit'),
    'unknown-name': expect.stringContaining('unknown name mine-coins'),
    'a-billion': expect.stringContaining('attempts'),
    'next-century': expect.stringContaining('delayed for more than an hour'),
    large: expect.stringMatching(/data of 10485\d{3} bytes/),
    counted: expect.stringContaining('ats that is no count'),
    'a-list': expect.stringContaining('is a list and not a hash'),
    taken: expect.stringContaining('has no content'),
  })
  expect((await flow.quarantine.find('batch.large'))?.payload).toHaveLength(4_096)
  const left = (await redis.keys(key('batch', '*'))).map((each) => each.slice(key('batch', '').length))
  expect(left.toSorted()).toEqual(
    ['events', 'id', 'marker', 'meta', 'pc', 'prioritized', ...ids(0, 1, 2)].toSorted(),
  )
  expect(await flow.waiting()).toEqual(ids(0, 1, 2))
  await flow.close()
})

test("a running job's entry that was broken is taken out, and the job healed; what somebody is at is left alone", async () => {
  const flow = await flowOf(4)
  const { redis, key } = flow
  await redis.hset(key('batch', batchId(0)), 'data', '{')
  await redis.hset(key('batch', batchId(1)), 'opts', '{"attempts":1000000000}')
  await redis.set(key('batch', `${batchId(2)}:dependencies`), 'mine')
  // The third looks odd and is under way.
  await redis.zrem(key('batch', 'prioritized'), batchId(3))
  await redis.lpush(key('batch', 'active'), batchId(3))
  await redis.set(key('batch', `${batchId(3)}:lock`), 'token', 'PX', 60_000)
  await redis.hset(key('batch', batchId(3)), 'opts', '{"attempts":1000000000}')

  expect(await flow.sweep()).toMatchObject({ quarantined: 3, healed: 1 })
  expect(flow.healed).toEqual([jobId])
  expect(Object.keys(await flow.notes()).toSorted()).toEqual(ids(0, 1, 2))
  expect(await flow.quarantine.find(`batch.${batchId(0)}`)).toMatchObject({ jobId, reason: 'unreadable' })
  expect(await redis.exists(...ids(0, 1, 2).map((id) => key('batch', id)))).toBe(0)
  expect(await redis.lrange(key('batch', 'active'), 0, -1)).toEqual([batchId(3)])
  // The stitch still waits for all of them: they come back.
  expect(await redis.scard(key('stitch', `${jobId}:dependencies`))).toBe(4)
  await flow.close()
})

test('a parent forgets that a child failed which could not be read: it comes back', async () => {
  const flow = await flowOf(2)
  const { redis, key, queue } = flow
  await redis.hset(key('batch', batchId(0)), 'data', '{"jobId":7}')
  const worker = new Worker(
    'batch',
    async () => await Promise.reject(new UnrecoverableError('not to be read')),
    {
      ...{ prefix: flow.prefix, connection: services.connect() },
    },
  )
  const failed = new Promise((resolve) => worker.once('failed', resolve))
  await failed
  await worker.close()
  const heard = async () =>
    Object.keys((await (await queue.stitch.getJob(jobId))?.getIgnoredChildrenFailures()) ?? {})
  expect(await heard()).toContain(key('batch', batchId(0)))
  expect(await flow.sweep()).toMatchObject({ quarantined: 1, healed: 1 })
  expect(await heard()).not.toContain(key('batch', batchId(0)))
  await flow.close()
})

test('keys of the wrong type are removed, and what was listed in them is listed again where it belongs', async () => {
  const flow = await flowOf(4)
  const { redis, key } = flow
  // One is under way, and two have ended: BullMQ would never find them again.
  await redis.set(key('batch', `${batchId(1)}:lock`), 'token', 'PX', 60_000)
  await redis.hset(key('batch', batchId(2)), { finishedOn: 5, returnvalue: '{}' })
  await redis.hset(key('batch', batchId(3)), { finishedOn: 6, failedReason: 'why' })
  const lost = [
    'wait',
    'active',
    'prioritized',
    'delayed',
    'completed',
    'failed',
    'marker',
    'stalled',
    'meta',
  ]
  for (const name of lost) {
    await redis.del(key('batch', name))
    await redis.set(key('batch', name), 'mine')
  }
  await redis.del(key('stitch', 'waiting-children'), key('stitch', 'events'))
  await redis.hset(key('stitch', 'waiting-children'), 'mine', 'mine')
  await redis.sadd(key('stitch', 'events'), 'mine')
  await redis.set(key('batch', 'stalled-check'), 'for ever')
  await redis.set(key('split', 'id'), 'seven')

  const done = await flow.sweep()
  expect(done).toMatchObject({ quarantined: lost.length + 4, relisted: 5 })
  expect(await flow.notes()).toMatchObject({
    'key wait': expect.stringContaining('is a string and not a list; its size is 4'),
    'key stalled-check': expect.stringContaining('never ends'),
    'key id': expect.stringContaining('is not a number'),
    'key waiting-children': expect.stringContaining('is a hash and not a zset'),
  })
  expect(await flow.waiting()).toEqual(ids(0))
  expect(await redis.lrange(key('batch', 'active'), 0, -1)).toEqual(ids(1))
  expect(await redis.zrange(key('batch', 'completed'), '0', '-1')).toEqual(ids(2))
  expect(await redis.zrange(key('batch', 'failed'), '0', '-1')).toEqual(ids(3))
  expect(await redis.zrange(key('stitch', 'waiting-children'), '0', '-1')).toEqual([jobId])
  expect(await flow.sweep()).toEqual({ quarantined: 0, relisted: 0, healed: 0 })
  await flow.close()
})

test("an id that is the name of a queue's own key, or of part of an entry, takes nothing with it", async () => {
  const flow = await flowOf(2)
  const { redis, key } = flow
  await redis.lpush(key('batch', 'wait'), 'prioritized', 'meta')
  await redis.lpush(key('stitch', 'wait'), `${jobId}:dependencies`)
  expect(await flow.sweep()).toMatchObject({ quarantined: 3 })
  expect(await flow.waiting()).toEqual(ids(0, 1))
  expect(await redis.exists(key('batch', 'meta'), key('stitch', `${jobId}:dependencies`))).toBe(2)
  expect(await redis.llen(key('batch', 'wait'))).toBe(0)
  await flow.close()
})

test('a stranger among the children of a stitch does not keep it waiting', async () => {
  const flow = await flowOf(1)
  const { redis, key } = flow
  await write(flow, 'stranger', { data: '{', parentKey: key('stitch', jobId) })
  await redis.sadd(key('stitch', `${jobId}:dependencies`), key('batch', 'stranger'))
  await redis.srem(key('stitch', `${jobId}:dependencies`), key('batch', batchId(0)))
  await flow.sweep()
  expect(await redis.lrange(key('stitch', 'wait'), 0, -1)).toEqual([jobId])
  expect(await redis.zcard(key('stitch', 'waiting-children'))).toBe(0)
  await flow.close()
})

test('in a long queue every entry has its turn, and a look at a hundred does not hold Redis up', async () => {
  const flow = await flowOf(4_000)
  const { redis, key } = flow
  await redis.hset(key('batch', batchId(3_900)), 'data', '{')
  let passes = 0
  while ((await redis.exists(key('batch', batchId(3_900)))) === 1) {
    await flow.sweep()
    passes++
  }
  expect(passes).toBeGreaterThan(1)
  expect(passes).toBeLessThanOrEqual(4)
  expect(await redis.zcard(key('batch', 'prioritized'))).toBe(3_999)
  // The quickest of several: the others tell of what else this machine does.
  const raw = createRawQueues(redis, flow.prefix)
  const took: number[] = []
  for (let i = 0; i < 20; i++) {
    const began = performance.now()
    expect(await raw.peek('batch', 'prioritized', 2_000, 2_099)).toHaveLength(100)
    took.push(performance.now() - began)
  }
  expect(Math.min(...took)).toBeLessThan(50)
  await flow.close()
})

test('a Redis that is full is relieved of what fills it, though there is no room for the evidence', async () => {
  const flow = await flowOf(1)
  const { redis, key } = flow
  const used = Number(/used_memory:(\d+)/.exec(await redis.info('memory'))?.[1])
  await write(flow, 'large', { data: 'x'.repeat(10 << 20) })
  await redis.config('SET', 'maxmemory', String(used + (5 << 20)))
  try {
    await expect(redis.set('anything', 'x')).rejects.toThrow(/OOM/)
    await flow.sweep()
    expect(await redis.exists(key('batch', 'large'))).toBe(0)
    // The buffer of the connection that brought it goes a little later.
    while ((await redis.set('anything', 'x').catch(() => '')) !== 'OK') await redis.ping()
  } finally {
    await redis.config('SET', 'maxmemory', '0')
  }
  expect(await flow.waiting()).toEqual(ids(0))
  await flow.close()
})

test('what changed while it was looked at stays, and nothing is said of it', async () => {
  const flow = await flowOf(1)
  const { redis, key, quarantine } = flow
  await redis.hset(key('batch', batchId(0)), 'data', '{')
  const sweeper = createSweeper({
    ...{ redis, prefix: flow.prefix, log: silent },
    async *openJobs() {},
    heal: async () => await Promise.resolve('running'),
    quarantine: {
      ...quarantine,
      async put(record) {
        const id = await quarantine.put(record)
        await redis.hset(key('batch', batchId(0)), 'data', JSON.stringify(payload(0)))
        return id
      },
    },
  })
  expect(await sweeper.run(new AbortController().signal)).toMatchObject({ quarantined: 0 })
  expect(await flow.waiting()).toEqual(ids(0))
  expect((await quarantine.list(0, 10)).total).toBe(0)
  await flow.close()
})

test('a record has room for little, however much there is to say', async () => {
  const flow = await flowOf(0)
  const incident = {
    ...{ at: new Date().toISOString(), queue: 'batch', entry: batchId(0), class: 'poison' as const },
    ...{ worker: 'w', message: 'm'.repeat(1_000), tail: 't'.repeat(1_000) },
  }
  await flow.quarantine.put({
    ...{ v: 1, at: incident.at, queue: 'batch', entry: batchId(0), jobId, reason: 'poison' },
    ...{ message: 'm'.repeat(2_000), payload: JSON.stringify(payload(0)) },
    frames: Array.from({ length: 1_000 }, (_, i) => 1_000_000 + i),
    incidents: Array.from({ length: 20 }, (_, attempt) => ({ ...incident, attempt })),
  })
  const id = `batch.${batchId(0)}`
  expect(await flow.redis.hstrlen(flow.key('quarantine', id), 'data')).toBeLessThan(16 << 10)
  const kept = await flow.quarantine.find(id)
  expect(kept?.incidents.map(({ attempt }) => attempt)).toEqual([15, 16, 17, 18, 19])
  await flow.close()
})

test('quarantine itself is swept, keeps one record for each entry, and lets the oldest go', async () => {
  const flow = await flowOf(0)
  const { redis, key, queue } = flow
  await redis.set(key('quarantine', 'wait'), 'mine')
  await redis.lpush(key('split', 'wait'), 'nothing')
  expect(await flow.sweep()).toMatchObject({ quarantined: 2 })
  await redis.lpush(key('quarantine', 'wait'), 'nobody')
  expect(await flow.sweep()).toMatchObject({ quarantined: 1 })
  const { total, records } = await flow.quarantine.list(0, 10)
  expect(total).toBe(3)
  expect(records.map(({ queue, entry }) => [queue, entry])).toEqual([
    ['quarantine', 'nobody'],
    ['split', 'nothing'],
    ['quarantine', 'key wait'],
  ])
  const [{ id: _, ...newest }] = records as [(typeof records)[number]]
  const small = createQuarantine(queue.quarantine, 2)
  await small.put({ ...newest, message: 'again' })
  await small.put({ ...newest, entry: 'other', payload: 'https://a.net/b?sv=1&sig=secret' })
  const kept = await small.list(0, 10)
  expect(kept.records.map(({ entry, message }) => [entry, message])).toEqual([
    ['other', newest.message],
    ['nobody', newest.message],
  ])
  expect(kept.records[0]?.payload).not.toContain('secret')
  expect(await small.drop('quarantine.other')).toBe(true)
  expect(await small.drop('quarantine.other')).toBe(false)
  await flow.close()
})
