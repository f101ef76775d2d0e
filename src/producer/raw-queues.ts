import type { Redis } from 'ioredis'
import type { KeyTypes } from '../shared/key-types.ts'
import { type AnyQueueName, queues } from '../shared/queues.ts'
import { type RawEntry, type RawField, entryFields } from './entry-fault.ts'
import { type WrongKey, dropKey, wrongKeys } from './raw-keys.ts'
import { orphansScript, peekScript, relistScript, removeScript } from './raw-queue-scripts.ts'

/** The keys of a queue and the type BullMQ gives each. */
const structure = {
  wait: 'list',
  active: 'list',
  paused: 'list',
  stalled: 'set',
  meta: 'hash',
  events: 'stream',
  delayed: 'zset',
  prioritized: 'zset',
  completed: 'zset',
  failed: 'zset',
  'waiting-children': 'zset',
  marker: 'zset',
  repeat: 'zset',
  id: 'counter',
  pc: 'counter',
  limiter: 'string',
  'stalled-check': 'lease',
} as const satisfies KeyTypes

export type Place =
  | 'wait'
  | 'active'
  | 'paused'
  | 'delayed'
  | 'prioritized'
  | 'waiting-children'
  | 'completed'
  | 'failed'

/** An entry that was looked at; `mark` stands for what was seen. */
export type SeenEntry = RawEntry & { mark: string }

export type WrongQueueKey = WrongKey<keyof typeof structure>

/** Most bytes that one look copies inside Redis, so that it never holds the others up. */
const lookBytes = 1 << 20

/** The queues as they lie in Redis, without BullMQ: it can't read what somebody has broken. */
export function createRawQueues(redis: Redis, prefix: string) {
  const base = (queue: AnyQueueName) => `${prefix}:${queue}:`
  // The base is named as a key, too: it says which slot of a cluster all the others are in.
  const run = async (script: string, base: string, ...args: (string | number | Buffer)[]) =>
    await redis.callBuffer('EVAL', [script, 1, base, base, ...args])

  /** Runs a script that describes entries: its own arguments stand before the names of the fields. */
  const describing = async (script: string, queue: AnyQueueName, ...args: (string | number | Buffer)[]) =>
    await run(script, base(queue), queues[queue].maxBytes, 4 + args.length, ...args, ...entryFields)

  return {
    /** The queue's own keys that can't be what BullMQ put there. */
    async wrongKeys(queue: AnyQueueName): Promise<WrongQueueKey[]> {
      return await wrongKeys(redis, base(queue), structure)
    },
    /** Removes a key that is still wrong; answers whether it did. */
    async dropKey(queue: AnyQueueName, name: WrongQueueKey['name']): Promise<boolean> {
      return await dropKey(redis, base(queue), name, structure[name])
    },
    /** Looks at the entries from `from` to `to` of a place, counted from 0, or from the end when negative; it may be fewer. */
    async peek(queue: AnyQueueName, place: Place, from: number, to: number): Promise<SeenEntry[]> {
      const found = await describing(peekScript, queue, place, from, to, lookBytes)
      return (found as Described[]).map((entry) => seen(entry, place))
    },
    /** Takes an entry out of its place and out of Redis, unless it has changed since it was seen. */
    async remove(
      queue: AnyQueueName,
      { id, mark }: SeenEntry,
      { place, comesBack }: { place?: Place; comesBack: boolean },
    ): Promise<boolean> {
      return (await describing(removeScript, queue, place ?? '', id, mark, comesBack ? 1 : 0)) === 1
    },
    /** Of these ids, the entries that exist but are in no place; it may be fewer. */
    async orphans(queue: AnyQueueName, ids: Buffer[]): Promise<SeenEntry[]> {
      const found: Described[] = []
      for (let from = 0; from < ids.length; from += 100) {
        const some = ids.slice(from, from + 100)
        found.push(...((await describing(orphansScript, queue, lookBytes, ...some)) as Described[]))
      }
      return found.map((entry) => seen(entry))
    },
    /** Puts a good entry back where it belongs; answers whether it was in no place. */
    async relist(queue: AnyQueueName, id: Buffer): Promise<boolean> {
      return (await run(relistScript, base(queue), 0, 0, id, Date.now())) === 1
    },
    /**
     * The next ids of entries among all keys, by queue, and the keys beside the queues, without the prefix; and the cursor
     * to go on with: `0` is the end and the beginning.
     */
    async scan(
      cursor: string,
    ): Promise<{ cursor: string; ids: Map<AnyQueueName, Buffer[]>; others: string[] }> {
      const found = await redis.callBuffer('SCAN', [cursor, 'MATCH', `${prefix}:*`, 'COUNT', 500])
      const [next, keys] = found as [Buffer, Buffer[]]
      const ids = new Map<AnyQueueName, Buffer[]>()
      const others: string[] = []
      for (const key of keys) {
        // An id need not be text; one character for each byte keeps it whole.
        const [name, id, ...more] = key
          .toString('latin1')
          .slice(prefix.length + 1)
          .split(':')
        if (!isQueue(name)) others.push(key.toString().slice(prefix.length + 1))
        if (id === undefined || more.length > 0 || id in structure || !isQueue(name)) continue
        ids.set(name, [...(ids.get(name) ?? []), Buffer.from(id, 'latin1')])
      }
      return { cursor: next.toString(), ids, others }
    },
  }
}

const isQueue = (name: string | undefined): name is AnyQueueName => name !== undefined && name in queues

type Described = [score: Buffer, [Buffer, Buffer, Buffer, Buffer, ...(Buffer | [number, Buffer] | null)[]]]

function seen([score, [id, type, part, mark, ...values]]: Described, place?: Place): SeenEntry {
  const fields: Partial<Record<string, RawField>> = {}
  for (const [i, value] of values.entries()) {
    const name = entryFields[i]
    if (name === undefined || value === null) continue
    fields[name] = Array.isArray(value) ? { bytes: value[0], head: value[1].toString() } : value.toString()
  }
  return {
    ...{ id, mark: mark.toString(), type: type.toString(), fields },
    ...(part.length > 0 ? { wrongPart: part.toString() } : {}),
    // BullMQ keeps the time in the upper bits, and the order within a millisecond in the lower twelve.
    ...(place === 'delayed' ? { dueAt: Number(score.toString()) / 4096 } : {}),
  }
}
