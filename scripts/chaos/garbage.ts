import { randomUUID } from 'node:crypto'
import type { Redis } from 'ioredis'
import type { QueueName } from '../../src/shared/queues.ts'

type Bin = { redis: Redis; prefix: string; name: string }
/** Answers by what its record in quarantine is known; undefined where it can't be left at the moment. */
type Leave = (bin: Bin) => Promise<{ queue: QueueName; entry: string } | undefined>

const batch = () => JSON.stringify({ jobId: randomUUID(), index: 0, first: 0, count: 10 })

type Fields = { name?: string; data?: string; opts?: string }

/** An entry as somebody might write it who knows BullMQ's keys but not its rules. */
const entry =
  (queue: QueueName, fields: () => Fields, list: 'wait' | 'prioritized' | 'delayed' = 'wait'): Leave =>
  async ({ redis, prefix, name }) => {
    const { name: queueName = queue, data = batch(), opts = '{}' } = fields()
    const hash = { name: queueName, data, opts, timestamp: Date.now(), delay: 0, priority: 0 }
    const key = `${prefix}:${queue}`
    const adding = redis.multi().hset(`${key}:${name}`, hash)
    if (list === 'wait') adding.lpush(`${key}:wait`, name)
    else adding.zadd(`${key}:${list}`, 1, name)
    await adding.exec()
    return { queue, entry: name }
  }

/** What people leave on queues, straight in Redis. */
export const garbage: Record<string, Leave> = {
  'an id of nothing': async ({ redis, prefix, name }) => {
    await redis.lpush(`${prefix}:batch:wait`, name)
    return { queue: 'batch', entry: name }
  },
  'broken data': entry('batch', () => ({ data: '{"jobId": "' })),
  'broken options': entry('batch', () => ({ opts: 'attempts=3' })),
  'a payload of something else': entry('stitch', () => ({ data: '{"order": 66}' })),
  'a wrong type in the payload': entry('batch', () => ({ data: '{"jobId": 7, "index": "first"}' })),
  'ten megabytes': entry('split', () => ({ data: JSON.stringify({ jobId: 'x'.repeat(10 << 20) }) })),
  'a billion attempts': entry('batch', () => ({ opts: '{"attempts": 1000000000}' })),
  'an unknown name': entry('batch', () => ({ name: 'mine-coins' })),
  'a hash that is a list': async ({ redis, prefix, name }) => {
    await redis
      .multi()
      .rpush(`${prefix}:batch:${name}`, 'one', 'two')
      .zadd(`${prefix}:batch:prioritized`, 1, name)
      .exec()
    return { queue: 'batch', entry: name }
  },
  'a key of the wrong type': async ({ redis, prefix }) => {
    const key = `${prefix}:batch:delayed`
    // Only where nothing is lost: a key that is there is somebody's work.
    return (await redis.set(key, 'not a sorted set', 'NX')) === 'OK'
      ? { queue: 'batch', entry: 'key delayed' }
      : undefined
  },
}
