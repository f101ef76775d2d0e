import type { Redis } from 'ioredis'
import { fleetViewKey } from './fleet-view.ts'
import { WorkerRecord } from './fleet.ts'
import type { KeyTypes } from './key-types.ts'

/**
 * Who is there to work. Each worker says so every two seconds, and hears with the answer whether its instance is held; one
 * that says nothing for a while is gone.
 *
 *   <prefix>:workers      sorted set: id → when it beat last, by Redis' clock
 *   <prefix>:worker:<id>  hash: its record, and by how much its clock is ahead; gone `registryTtlMs` after its last beat
 *   <prefix>:held         hash: instance → since when it is held, in ms
 *
 * All of it may be lost: the next beats write it anew, and whoever holds instances says so again.
 */
export const beatEveryMs = 2_000
export const registryTtlMs = 15_000

/** Ids of the dead that nobody asked for are forgotten by then. */
const forgottenMs = 3_600_000

const keysOf = (prefix: string) => ({
  ids: `${prefix}:workers`,
  record: (id: string) => `${prefix}:worker:${id}`,
  held: `${prefix}:held`,
})

/** What the fixed keys of the fleet are: of its workers, of their rates and of the autoscaler. */
export function fleetKeyTypes(prefix: string): KeyTypes {
  const { ids, held } = keysOf(prefix)
  return {
    ...{ [ids]: 'zset', [held]: 'hash', [ratesKey(prefix)]: 'hash' },
    ...{ [fleetViewKey(prefix)]: 'lease', [`${prefix}:fleet:alive`]: 'lease' },
    [`${prefix}:fleet:memory`]: 'string',
  }
}

export const ratesKey = (prefix: string) => `${prefix}:rates`

/** What the key is by which the workers of a machine know each other. */
export const machineKeyTypes = (prefix: string, machine: string): KeyTypes => ({
  [machineKey(prefix, machine)]: 'zset',
})

export const machineKey = (prefix: string, machine: string) => `${prefix}:machine:${machine}`

/** What the key of a worker is. */
export const workerKeyTypes = (prefix: string, id: string): KeyTypes => ({
  [keysOf(prefix).record(id)]: 'hash',
})

const aheadField = 'clockAheadMs'

// One clock for all: a worker whose own is off would else drive all others out. KEYS: the record, all ids, the held ones.
// ARGV: id, now by its own clock, how long it counts, its instance, its record.
const beatScript = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], '${aheadField}', ARGV[2] - now, unpack(ARGV, 5))
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.call('ZADD', KEYS[2], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now - ${forgottenMs})
redis.call('PEXPIRE', KEYS[2], ${forgottenMs})
return redis.call('HEXISTS', KEYS[3], ARGV[4])`

// Asked again in the same step: a worker may have come back since it was looked at. KEYS: all ids, records. ARGV: their ids.
const forgetScript = `
for i, id in ipairs(ARGV) do
  if redis.call('TYPE', KEYS[i + 1]).ok ~= 'hash' then redis.call('ZREM', KEYS[1], id) end
end`

const atOnce = 500

export type WorkerRegistry = ReturnType<typeof createWorkerRegistry>

export function createWorkerRegistry(redis: Redis, prefix: string) {
  const keys = keysOf(prefix)

  async function read(ids: string[]): Promise<(WorkerRecord | undefined)[]> {
    const reading = redis.pipeline()
    for (const id of ids) reading.hgetall(keys.record(id))
    const found = (await reading.exec()) ?? []
    return found.map(([error, fields]) => (error ? undefined : parse(fields as Record<string, string>)))
  }

  return {
    /** Says what a worker is and does; answers whether its instance is held. */
    async beat(record: WorkerRecord): Promise<{ held: boolean }> {
      const { id, instance, beatAt } = record
      const fields = Object.entries(record).flatMap(([name, value]) => [name, JSON.stringify(value)])
      const three = [keys.record(id), keys.ids, keys.held]
      const held = await redis.eval(beatScript, 3, ...three, id, beatAt, registryTtlMs, instance, ...fields)
      return { held: held === 1 }
    },
    /** A worker is gone, as it says itself. */
    async leave(id: string): Promise<void> {
      await redis.multi().del(keys.record(id)).zrem(keys.ids, id).exec()
    },
    /** Those that are there, by id. What is known of the others is forgotten. */
    async list(): Promise<WorkerRecord[]> {
      const ids = await redis.zrange(keys.ids, '0', '-1')
      const living: WorkerRecord[] = []
      for (let from = 0; from < ids.length; from += atOnce) {
        const some = ids.slice(from, from + atOnce)
        const records = await read(some)
        living.push(...records.filter((record) => record !== undefined))
        const dead = some.filter((_, i) => records[i] === undefined)
        if (dead.length > 0)
          await redis.eval(forgetScript, 1 + dead.length, keys.ids, ...dead.map(keys.record), ...dead)
      }
      return living.toSorted((a, b) => (a.id < b.id ? -1 : 1))
    },
    /** By how many ms the clock of each of these workers is ahead of Redis'; 0 where nobody knows. */
    async clocksAhead(ids: string[]): Promise<number[]> {
      const reading = redis.pipeline()
      for (const id of ids) reading.hget(keys.record(id), aheadField)
      return ((await reading.exec()) ?? []).map(([error, ms]) => (error ? 0 : Number(ms) || 0))
    },
    /** The workers of these instances are to take nothing new; they hear it with their next beat. */
    async hold(instances: string[]): Promise<void> {
      if (instances.length === 0) return
      const now = String(Date.now())
      const holding = redis.pipeline()
      for (const instance of instances) holding.hsetnx(keys.held, instance, now)
      await done(holding.exec())
    },
    /** The workers of these instances may work again; to be said, too, of instances that are gone. */
    async recall(instances: string[]): Promise<void> {
      if (instances.length > 0) await redis.hdel(keys.held, ...instances)
    },
    async held(): Promise<string[]> {
      return await redis.hkeys(keys.held)
    },
  }
}

type Answers = [error: Error | null, answer: unknown][] | null

/** A pipeline never fails as a whole: its first failure is thrown. */
async function done(pipeline: Promise<Answers>): Promise<void> {
  const failed = (await pipeline)?.find(([error]) => error)
  if (failed?.[0]) throw failed[0]
}

/** Nothing where a worker is gone, or somebody else wrote there. */
function parse(fields: Record<string, string>): WorkerRecord | undefined {
  try {
    const values = Object.entries(fields).map(([name, text]) => [name, JSON.parse(text) as unknown])
    return WorkerRecord.safeParse(Object.fromEntries(values)).data
  } catch {
    return undefined
  }
}
