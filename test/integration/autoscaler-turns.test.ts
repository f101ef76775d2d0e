import { Queue } from 'bullmq'
import { expect, test } from 'vitest'
import { startTurns } from '../../src/autoscaler/turns.ts'
import { createRegistry, createWorkMetrics } from '../../src/shared/metrics.ts'
import { silent } from '../support/services.ts'
import { useServices } from '../support/use-services.ts'

const services = useServices()

const everyMs = 100

/** Autoscalers that only tell of their turns. */
async function autoscalers(count: number, turn: (turn: number) => Promise<void> = async () => {}) {
  const prefix = services.prefix()
  const waiting: { turn: number; reached: () => void }[] = []
  const takenBy = new Set<number>()
  let turns = 0
  const warned: string[] = []
  const log = Object.assign(Object.create(silent) as typeof silent, {
    warn: ({ err }: { err?: string }, message: string) => void warned.push(`${message}: ${err}`),
  })
  const running: { stop(withinMs: number): Promise<void> }[] = []
  for (let i = 0; i < count; i++) {
    running.push(
      await startTurns({
        ...{ redis: services.connect(), prefix, everyMs, log },
        ...{ patienceMs: 1_000, longestMs: 500 },
        metrics: createWorkMetrics(createRegistry('test')),
        async take() {
          turns++
          takenBy.add(i)
          await turn(turns)
          for (const each of waiting) if (turns >= each.turn) each.reached()
        },
      }),
    )
  }
  const redis = services.connect()
  return {
    ...{ redis, prefix, running, takenBy, warned },
    turns: () => turns,
    /** Waits for so many more turns. */
    more: async (some: number) =>
      await new Promise<void>((reached) => waiting.push({ turn: turns + some, reached })),
    key: (rest: string) => `${prefix}:autoscale:${rest}`,
    stop: async () => await Promise.all(running.map(async (each) => await each.stop(1_000))),
  }
}

test('several take turns, one at a time; who leaves is not missed', async () => {
  let atOnce = 0
  let most = 0
  const shared = await autoscalers(3, async () => {
    most = Math.max(most, ++atOnce)
    await new Promise((resolve) => setImmediate(resolve))
    atOnce--
  })
  const began = performance.now()
  await shared.more(6)
  // Three that did not agree would need two periods.
  expect(performance.now() - began).toBeGreaterThan(4 * everyMs)
  expect(most).toBe(1)
  await Promise.all(shared.running.slice(1).map(async (each) => await each.stop(1_000)))
  shared.takenBy.clear()
  await shared.more(3)
  expect([...shared.takenBy]).toEqual([0])
  await shared.stop()
})

type Shared = Awaited<ReturnType<typeof autoscalers>>

test.each<[string, (shared: Shared) => Promise<unknown>]>([
  ['Redis was wiped', async ({ redis }) => await redis.flushall()],
  ['a list became a string', async ({ redis, key }) => await redis.set(key('active'), 'x')],
  [
    'the wait list became a hash',
    async ({ redis, key }) => await redis.multi().del(key('wait')).hset(key('wait'), 'a', 1).exec(),
  ],
  ['the scheduler was lost', async ({ redis, key }) => await redis.del(key('repeat'), key('delayed'))],
  [
    'an entry that nobody can read stands first',
    async ({ redis, key }) =>
      await redis
        .multi()
        .hset(key('junk'), 'name', 'tick', 'data', '{', 'opts', '{')
        .rpush(key('wait'), 'junk')
        .exec(),
  ],
  [
    'somebody paused the queue',
    async ({ redis, prefix }) => await new Queue('autoscale', { connection: redis, prefix }).pause(),
  ],
  [
    'and wrote the sign of life without an end',
    async ({ redis, prefix, key }) => {
      await redis.del(key('repeat'), key('delayed'))
      await redis.multi().del(`${prefix}:fleet:alive`).lpush(`${prefix}:fleet:alive`, 'x').exec()
    },
  ],
])('turns go on though %s', async (_, breakIt) => {
  const shared = await autoscalers(2)
  await shared.more(2)
  await breakIt(shared)
  await shared.more(10)
  const queue = new Queue('autoscale', { connection: shared.redis, prefix: shared.prefix })
  expect(await queue.getJobSchedulersCount()).toBe(1)
  expect(await queue.getGlobalConcurrency()).toBe(1)
  await shared.stop()
})

test('a turn that hangs is given up, and that is said', async () => {
  let first = true
  const shared = await autoscalers(2, async () => {
    const hangs = first
    first = false
    if (hangs) await new Promise(() => {})
  })
  await shared.more(5)
  expect(shared.turns()).toBeGreaterThanOrEqual(5)
  expect(shared.warned).toEqual(['a turn failed: the turn took too long'])
  await shared.stop()
})

test('turns that fail go on, and say so once a minute', async () => {
  const shared = await autoscalers(1, async (turn) => {
    if (turn < 10) throw new Error('no storage')
  })
  await shared.more(12)
  expect(shared.warned).toEqual(['a turn failed: no storage'])
  await shared.stop()
})

test('what is left of turns that are over stays small', async () => {
  const shared = await autoscalers(1)
  await shared.more(30)
  const queue = new Queue('autoscale', { connection: shared.redis, prefix: shared.prefix })
  expect(await queue.getCompletedCount()).toBeLessThanOrEqual(21)
  expect((await shared.redis.keys(shared.key('*'))).length).toBeLessThan(40)
  await shared.stop()
})
