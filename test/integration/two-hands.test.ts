import { Queue } from 'bullmq'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createHands, type Hand, HandWorker } from '../../src/worker/two-hands.ts'
import { type TestServices, startServices } from '../support/services.ts'

let services: TestServices
beforeAll(async () => {
  services = await startServices()
})
afterAll(async () => await services.stop())

/** A queue with some work, and the two hands that take it. */
async function handsOn(count: number, hand: Hand) {
  const prefix = services.prefix()
  const connection = services.connect()
  const queue = new Queue('work', { connection, prefix })
  const changed: (() => void)[] = []
  const options = { connection, prefix, autorun: false, concurrency: 1, drainDelay: 1 }
  const hands = createHands(
    (process) => new HandWorker('work', process, options),
    hand,
    () => changed.splice(0).forEach((tell) => tell()),
  )
  let claims = 0
  for (const worker of hands.workers) worker.on('active', () => claims++)
  await queue.addBulk(Array.from({ length: count }, (_, i) => ({ name: 'work', data: i })))
  hands.begin()
  return {
    ...{ queue, hands, claims: () => claims },
    async held() {
      hands.hold()
      while (hands.state() !== 'held') await new Promise<void>((resolve) => changed.push(resolve))
    },
    async close() {
      hands.stop()
      await Promise.all(hands.workers.map(async (worker) => await worker.close()))
      await queue.close()
    },
  }
}

test('the next is taken once the one before has passed on, and not earlier', async () => {
  const said: string[] = []
  const done = Promise.withResolvers<void>()
  const taken: Record<number, PromiseWithResolvers<void>> = [0, 1, 2, 3].map(() =>
    Promise.withResolvers<void>(),
  )
  const work = await handsOn(4, async ({ data }, _token, _signal, passOn) => {
    const i = data as number
    said.push(`take ${i}`)
    taken[i]?.resolve()
    // Nobody else may come before it is passed on, however long that takes.
    await new Promise((resolve) => setImmediate(resolve))
    said.push(`pass ${i}`)
    passOn()
    // It ends only when the next one has begun: both are in hand at once.
    await taken[i + 1]?.promise
    said.push(`end ${i}`)
    if (i === 3) done.resolve()
    return i
  })
  await done.promise
  const at = (line: string) => said.indexOf(line)
  for (const i of [0, 1, 2]) {
    expect(at(`take ${i + 1}`)).toBeGreaterThan(at(`pass ${i}`))
    expect(at(`end ${i}`)).toBeGreaterThan(at(`take ${i + 1}`))
  }
  await work.close()
})

test('work that fails before it has passed on does so in failing', async () => {
  const seen: number[] = []
  const done = Promise.withResolvers<void>()
  const work = await handsOn(4, async ({ data }) => {
    seen.push(data as number)
    if (seen.length === 4) done.resolve()
    await Promise.reject(new Error('no'))
  })
  await done.promise
  expect(seen).toEqual([0, 1, 2, 3])
  await work.close()
})

test('hands that have nothing to do take what comes later', async () => {
  const seen: number[] = []
  let wake: () => void = () => {}
  const work = await handsOn(0, async ({ data }, _token, _signal, passOn) => {
    passOn()
    seen.push(data as number)
    wake()
    return await Promise.resolve(null)
  })
  for (let i = 0; i < 5; i++) {
    const taken = new Promise<void>((resolve) => (wake = resolve))
    await work.queue.add('work', i)
    await taken
  }
  expect(seen).toEqual([0, 1, 2, 3, 4])
  await work.close()
})

test('hands that are held end what they have; once they say that they are held they claim nothing until recalled', async () => {
  const begun = Promise.withResolvers<void>()
  const go = Promise.withResolvers<void>()
  const work = await handsOn(3, async (_job, _token, _signal, passOn) => {
    begun.resolve()
    await go.promise
    passOn()
  })
  await begun.promise
  expect(work.hands.state()).toBe('busy')
  const held = work.held()
  expect(work.hands.state()).toBe('draining')
  go.resolve()
  await held
  expect(work.claims()).toBe(1)
  expect(await work.queue.getJobCounts('completed', 'active', 'waiting')).toMatchObject({
    ...{ completed: 1, active: 0, waiting: 2 },
  })
  work.hands.recall()
  await done(work.queue, 3)
  expect(work.claims()).toBe(3)
  await work.close()
})

test('hands that are held while they wait for work do not claim what comes then: it costs the work no start', async () => {
  const work = await handsOn(0, async () => await Promise.resolve(null))
  const redis = services.connect()
  while (!String(await redis.client('LIST')).includes('cmd=bzpopmin'));
  const held = work.held()
  const job = await work.queue.add('work', 0)
  await held
  expect(await job.getState()).toBe('waiting')
  expect(await work.queue.getJob(job.id ?? '')).toMatchObject({ attemptsMade: 0, attemptsStarted: 0 })
  // Whoever else waits is told of it.
  expect(await redis.zrange(work.queue.toKey('marker'), '0', '-1')).toEqual(['0'])
  work.hands.recall()
  await done(work.queue, 1)
  await work.close()
})

test('hands that never begin take nothing; held before they begin, they begin when they are recalled', async () => {
  const work = await handsOn(0, async () => await Promise.resolve(null))
  await work.held()
  work.hands.begin()
  await work.queue.add('work', 0)
  expect(work.hands.state()).toBe('held')
  expect(work.claims()).toBe(0)
  work.hands.recall()
  await done(work.queue, 1)
  await work.close()
})

test('held and recalled hundreds of times under a steady stream, nothing is lost, doubled or claimed while held', async () => {
  const rounds = 300
  const seen = new Map<number, number>()
  let told = () => {}
  const work = await handsOn(50, async ({ data }, _token, _signal, passOn) => {
    // All ways there are: passing on at once, later, or only at the end; what takes no time, and what takes trips to Redis.
    const n = data as number
    if (n % 3 === 0) passOn()
    for (let i = 0; i < n % 5; i++) await work.queue.getWaitingCount()
    if (n % 3 === 1) passOn()
    seen.set(n, (seen.get(n) ?? 0) + 1)
    told()
  })
  let added = 50
  const add = async () => {
    await work.queue.addBulk(Array.from({ length: 4 }, () => ({ name: 'work', data: added++ })))
  }
  for (let round = 0; round < rounds; round++) {
    // Held at all moments: in the middle of a claim, of work, of a recall.
    for (let i = 0; i < round % 7; i++) await new Promise((resolve) => setImmediate(resolve))
    if (round % 5 === 0) work.hands.hold()
    if (round % 10 === 0) work.hands.recall()
    await work.held()
    const claims = work.claims()
    await add()
    expect(await work.queue.getActiveCount()).toBe(0)
    expect(work.claims()).toBe(claims)
    expect(work.hands.state()).toBe('held')
    const one = new Promise<void>((resolve) => (told = resolve))
    work.hands.recall()
    // A hand that was not opened again would never do this.
    await one
  }
  await done(work.queue, added)
  expect(seen.size).toBe(added)
  expect([...seen.values()].filter((times) => times !== 1)).toEqual([])
  await work.close()
})

test('a hand whose turn comes in the very moment its loop ends takes the next', async () => {
  const rounds = 60
  let ticks = 0
  let claimed = Promise.withResolvers<void>()
  let ended = Promise.withResolvers<void>()
  let next = Promise.withResolvers<void>()
  const work = await handsOn(0, async ({ name }, _token, _signal, passOn) => {
    if (name === 'first') {
      passOn()
      await claimed.promise
    } else if (name === 'second') {
      claimed.resolve()
      await ended.promise
      for (let i = 0; i < ticks; i++) await Promise.resolve()
      passOn()
      // Only the other hand can take it while this one waits.
      await next.promise
    } else next.resolve()
  })
  for (const worker of work.hands.workers)
    worker.on('completed', ({ name }) => {
      if (name === 'first') ended.resolve()
    })
  for (; ticks < rounds; ticks++) {
    claimed = Promise.withResolvers<void>()
    ended = Promise.withResolvers<void>()
    next = Promise.withResolvers<void>()
    await work.queue.addBulk(['first', 'second', 'third'].map((name) => ({ name, data: ticks })))
    // Where the hand was not opened again this never comes.
    await done(work.queue, 3 * (ticks + 1))
  }
  expect(work.claims()).toBe(3 * rounds)
  await work.close()
})

async function done(queue: Queue, count: number): Promise<void> {
  while ((await queue.getCompletedCount()) < count);
}
