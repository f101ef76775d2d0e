import { Queue, Worker } from 'bullmq'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createHands, type Hand } from '../../src/worker/two-hands.ts'
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
  const hands = createHands(
    (process) => new Worker('work', process, { connection, prefix, autorun: false, concurrency: 1 }),
    hand,
  )
  await queue.addBulk(Array.from({ length: count }, (_, i) => ({ name: 'work', data: i })))
  hands.begin()
  return {
    queue,
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
