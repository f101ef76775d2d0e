import { setTimeout as pause } from 'node:timers/promises'
import type { Redis } from 'ioredis'
import type { Logger } from '../shared/log.ts'

/** Something that is done now and then by one of the producers, whichever comes first. Safe to do twice. */
export type Chore = {
  name: string
  everyMs: number
  /** Answers what it did, by kind; stops early when told to. */
  run(signal: AbortSignal): Promise<Record<string, number>>
}

const stopMs = 3_000

type ChoreDeps = { redis: Redis; prefix: string; log: Logger; chores: Chore[] }

/**
 * Runs the chores until stopped. A chore's turn is a key that lasts as long as its period, `<prefix>:chore:<name>`:
 * the producer that sets it does the work. Plain timers and no queue: what mends Redis must not live in Redis.
 *
 *   waiting ──turn taken──► running ──done or failed──► waiting        (failed: one line, and again at the next turn)
 *      └──────turn is another's: until it ends──────────────┘
 */
export function startChores({ redis, prefix, log, chores }: ChoreDeps) {
  const leaving = new AbortController()
  const { signal } = leaving
  const loops = chores.map(async (chore) => {
    while (!signal.aborted) {
      const ms = await turn(chore).catch((error: Error) => {
        if (!signal.aborted) log.warn({ chore: chore.name, err: error.message }, 'a chore failed')
        return chore.everyMs
      })
      await pause(ms, undefined, { signal }).catch(() => {})
    }
  })

  /** Does the chore if it is our turn; answers milliseconds until the next look. */
  async function turn({ name, everyMs, run }: Chore): Promise<number> {
    const key = `${prefix}:chore:${name}`
    if (!(await take(key, everyMs))) {
      const left = await redis.pttl(key)
      // A key that is not ours might last for ever.
      if (left < 0 || left > everyMs) await redis.del(key)
      return Math.min(everyMs, Math.max(left, 0) + 1)
    }
    const began = performance.now()
    const done = Object.entries(await run(signal)).filter(([, count]) => count > 0)
    if (done.length > 0) log.info({ chore: name, ...Object.fromEntries(done) }, 'chore done')
    return Math.max(0, everyMs - (performance.now() - began))
  }

  async function take(key: string, everyMs: number): Promise<boolean> {
    return await redis.set(key, process.pid, 'PX', everyMs, 'NX').then(
      (answer) => answer !== null,
      (error: Error) => {
        // Redis is full: twice is better than never, since a chore may be what relieves it.
        if (error.message.startsWith('OOM')) return true
        throw error
      },
    )
  }

  return {
    /** Waits for what is under way, but not for a Redis that is away. */
    async stop(): Promise<void> {
      leaving.abort()
      await Promise.race([Promise.all(loops), pause(stopMs, undefined, { ref: false })])
    },
  }
}
