import { once } from 'node:events'
import { expect, test } from 'vitest'
import { type Chore, startChores } from '../../src/producer/chores.ts'
import { silent } from '../support/services.ts'
import { useServices } from '../support/use-services.ts'

const services = useServices()

/** A chore that tells of its turns, and the producers that share it. */
function producers(count: number, work: (turn: number) => Promise<void> = async () => {}) {
  const prefix = services.prefix()
  const waiting: { turn: number; reached: () => void }[] = []
  let turns = 0
  const chore = (everyMs: number): Chore => ({
    ...{ name: 'tidy', everyMs },
    async run() {
      turns++
      for (const { turn, reached } of waiting) if (turns >= turn) reached()
      await work(turns)
      return { tidied: 1 }
    },
  })
  return {
    prefix,
    turns: () => turns,
    reaches: async (turn: number) => await new Promise<void>((reached) => waiting.push({ turn, reached })),
    start: (everyMs: number) =>
      Array.from({ length: count }, () =>
        startChores({ redis: services.connect(), prefix, log: silent, chores: [chore(everyMs)] }),
      ),
  }
}

test('a chore is done in every period, by one producer at a time', async () => {
  let atOnce = 0
  let most = 0
  const shared = producers(3, async () => {
    most = Math.max(most, ++atOnce)
    await new Promise((resolve) => setImmediate(resolve))
    atOnce--
  })
  const third = shared.reaches(3)
  const began = performance.now()
  const running = shared.start(400)
  await third
  // Three turns are two periods; three producers without an agreement would need none.
  expect(performance.now() - began).toBeGreaterThan(790)
  expect(most).toBe(1)
  await Promise.all(running.map(async (each) => await each.stop()))
})

test('a chore that failed is done again at its next turn', async () => {
  const shared = producers(1, async (turn) => {
    if (turn === 1) await Promise.reject(new Error('no'))
  })
  const second = shared.reaches(2)
  const [running] = shared.start(50)
  await second
  await running?.stop()
  expect(shared.turns()).toBe(2)
})

test('a turn that somebody else wrote without an end does not stop the chore', async () => {
  const shared = producers(1)
  await services.connect().set(`${shared.prefix}:chore:tidy`, 'for ever')
  const first = shared.reaches(1)
  const [running] = shared.start(60_000)
  await first
  await running?.stop()
  expect(shared.turns()).toBe(1)
})

test('a chore is done though Redis is full', async () => {
  const redis = services.connect()
  await redis.config('SET', 'maxmemory', '1')
  const shared = producers(1)
  const first = shared.reaches(1)
  const [running] = shared.start(60_000)
  await first
  await redis.config('SET', 'maxmemory', '0')
  await running?.stop()
  expect(shared.turns()).toBe(1)
})

test('stopping tells the work and waits for it', async () => {
  const prefix = services.prefix()
  const begun = Promise.withResolvers<void>()
  let told = false
  const chore: Chore = {
    ...{ name: 'long', everyMs: 1_000 },
    async run(signal) {
      begun.resolve()
      await once(signal, 'abort')
      told = true
      return {}
    },
  }
  const running = startChores({ redis: services.connect(), prefix, log: silent, chores: [chore] })
  await begun.promise
  await running.stop()
  expect(told).toBe(true)
})
