import { setImmediate } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { createLane, type Lane } from '../../src/worker/frame-ring.ts'
import { seeded, seeds } from '../../scripts/chaos/seeded.ts'

async function drain(lane: Lane): Promise<number[]> {
  const slots: number[] = []
  for (let slot = await lane.next(); slot !== undefined; slot = await lane.next()) slots.push(slot)
  return slots
}

/** Whether a promise is still pending once everything that can go on has gone on. */
async function isWaiting(promise: Promise<unknown>): Promise<boolean> {
  let settled = false
  const note = () => {
    settled = true
  }
  promise.then(note, note)
  await setImmediate()
  return !settled
}

test('slots come out in the order they went in, those it began with first', async () => {
  const lane = createLane([4, 5])
  for (const slot of [0, 2, 1]) lane.push(slot)
  lane.close()
  expect(await drain(lane)).toEqual([4, 5, 0, 2, 1])
})

test('what it began with is its own: the list it was given stays as it is', async () => {
  const first = [1, 2]
  const lane = createLane(first)
  expect(await lane.next()).toBe(1)
  expect(first).toEqual([1, 2])
})

test('slot 0 is a slot', async () => {
  const lane = createLane()
  const next = lane.next()
  lane.push(0)
  expect(await next).toBe(0)
})

test('who takes from an empty lane waits until something comes', async () => {
  const lane = createLane()
  const next = lane.next()
  expect(await isWaiting(next)).toBe(true)
  lane.push(7)
  expect(await next).toBe(7)
  expect(await isWaiting(lane.next())).toBe(true)
})

test('closing ends the wait', async () => {
  const lane = createLane()
  const next = lane.next()
  expect(await isWaiting(next)).toBe(true)
  lane.close()
  expect(await next).toBeUndefined()
})

test('a closed lane is emptied first, and stays at its end', async () => {
  const lane = createLane([1])
  lane.close()
  expect([await lane.next(), await lane.next(), await lane.next()]).toEqual([1, undefined, undefined])
})

test('a failure wakes who waits, on every lane, with the very same error', async () => {
  const lanes = [createLane(), createLane(), createLane()]
  const waiting = lanes.map(async (lane) => await lane.next())
  expect(await Promise.all(waiting.map(isWaiting))).toEqual([true, true, true])
  const error = new Error('the encoder died')
  for (const lane of lanes) lane.fail(error)
  const ended = await Promise.allSettled(waiting)
  expect(ended.map((each) => each.status === 'rejected' && each.reason === error)).toEqual([true, true, true])
})

test.each([
  ['though slots are left', createLane([1, 2]), (lane: Lane) => lane.push(3)],
  ['though it is closed then', createLane(), (lane: Lane) => lane.close()],
  ['though another failure follows', createLane(), (lane: Lane) => lane.fail(new Error('second'))],
])('who comes after a failure gets it, %s', async (_, lane, then) => {
  lane.fail(new Error('first'))
  then(lane)
  await expect(lane.next()).rejects.toThrow('first')
  await expect(lane.next()).rejects.toThrow('first')
})

test('a failure of undefined is a failure', async () => {
  const lane = createLane()
  lane.fail(undefined)
  await expect(lane.next()).rejects.toBeUndefined()
})

test.each(seeds(20))('stages of any speed hand on every slot, in order (seed %i)', async (seed) => {
  const { int } = seeded(seed)
  const lane = createLane()
  const sent = Array.from({ length: 60 }, () => int(0, 9))
  const take = async () => {
    const slots: number[] = []
    for (let slot = await lane.next(); slot !== undefined; slot = await lane.next()) {
      slots.push(slot)
      if (int(0, 3) === 0) await setImmediate()
    }
    return slots
  }
  const put = async () => {
    for (const slot of sent) {
      lane.push(slot)
      if (int(0, 3) === 0) await setImmediate()
    }
    lane.close()
  }
  const [got] = await Promise.all([take(), put()])
  expect(got).toEqual(sent)
})
