import { expect, test } from 'vitest'
import {
  type Memory,
  nothingKnown,
  pausedByFailures,
  sizeByHand,
  sizeSeen,
  withFailures,
  withStarts,
  withinReach,
} from '../../src/autoscaler/memory.ts'

const settings = { min: 0, max: 10, size: null, paused: false }
const remembered = (changes: Partial<Memory>): Memory => ({
  ...{ ...nothingKnown, lookedAt: 0, capacity: 4, asked: 4, loose: 0 },
  ...changes,
})
const seen = (capacity: number, now = 1_000) => ({ now, capacity, settings, keepMs: 60_000 })
const over = JSON.stringify(settings)

test.each<[string, Partial<Memory>, number, number | undefined]>([
  ['as it was', {}, 4, undefined],
  ['somebody raised it', {}, 6, 6],
  ['somebody lowered it', {}, 2, 2],
  ['it is what we asked for', { asked: 6 }, 6, undefined],
  ['not all that we asked for has come', { asked: 6 }, 5, undefined],
  ['more than we asked for', { asked: 6 }, 7, 7],
  ['two were taken away', { loose: 2 }, 2, undefined],
  ['two were taken away, and one more is missing', { loose: 2 }, 1, 1],
  ['more than people allow', {}, 11, undefined],
])('%s', (_, changes, capacity, size) => {
  expect(sizeByHand(remembered(changes), seen(capacity))?.size).toBe(size)
})

test.each<[string, Partial<Memory>, number, number | undefined]>([
  ['one was taken away, unannounced', {}, 3, undefined],
  ['all were', {}, 0, undefined],
  ['somebody raised it', {}, 6, 6],
  ['one was taken away while three more were on their way', { asked: 7 }, 6, undefined],
])('of spot machines, %s', (_, changes, capacity, size) => {
  expect(sizeByHand(remembered(changes), { ...seen(capacity), spot: true })?.size).toBe(size)
})

test('a spot machine that goes does not end a size set by hand', () => {
  const byHand = { size: 4, until: 61_000, over }
  expect(sizeByHand(remembered({ byHand }), { ...seen(3), spot: true })).toEqual(byHand)
})

test('a guess is held against nobody: what was known and asked before it still counts after it', () => {
  const memory = remembered({ asked: 7 })
  expect(sizeByHand(memory, { ...seen(9), guessed: true })).toBeNull()
  expect(sizeByHand(memory, { ...seen(2), guessed: true })).toBeNull()
  expect(sizeSeen(memory, { capacity: 2, guessed: true })).toEqual({ capacity: 4, asked: 7 })
  expect(sizeSeen(memory, { capacity: 9, guessed: true })).toEqual({ capacity: 4, asked: 9 })
  expect(sizeSeen(memory, { capacity: 5 })).toEqual({ capacity: 5, asked: 5 })
  expect(sizeSeen(undefined, { capacity: 5, guessed: true })).toEqual({ capacity: 5, asked: 5 })
})

test('nothing is known of before: whatever there is was not set by hand', () => {
  expect(sizeByHand(undefined, seen(9))).toBeNull()
})

test('a size set by hand is kept for a while, and until people set the fleet or another size', () => {
  const byHand = { size: 4, until: 61_000, over }
  const memory = remembered({ byHand })
  expect(sizeByHand(memory, seen(4, 60_000))).toEqual(byHand)
  expect(sizeByHand(memory, seen(4, 61_000))).toBeNull()
  expect(sizeByHand(memory, seen(5, 60_000))).toEqual({ size: 5, until: 120_000, over })
  const set = { ...settings, max: 9 }
  expect(sizeByHand(memory, { ...seen(4, 60_000), settings: set })).toBeNull()
  expect(sizeByHand(memory, { ...seen(7, 60_000), settings: { ...settings, size: 2 } })).toBeNull()
})

test('machines that fail are replaced more and more slowly; one that fails among many is nothing', () => {
  const failed = (count: number) =>
    Object.fromEntries(Array.from({ length: count }, (_, i) => [`i-${i}`, 1_000_000 - 60_000 * i]))
  const pauses = [1, 2, 3, 4, 5, 9, 30].map((count) => pausedByFailures(failed(count), 0))
  expect(pauses.map((until) => Math.max(0, until - 1_000_000) / 1_000)).toEqual([
    ...[0, 0, 30, 60, 120, 1_800, 1_800],
  ])
  expect(pausedByFailures(failed(5), 1_000)).toBe(0)
})

test('those that fail together have one cause, and count as one', () => {
  const names = (round: number) => Array.from({ length: 12 }, (_, i) => `i-${round}-${i}`)
  let failures = withFailures({}, names(1), 1_000_000)
  failures = withFailures(failures, names(2), 1_059_000)
  failures = withFailures(failures, names(3), 1_090_000)
  expect(pausedByFailures(failures, 0)).toBe(0)
  failures = withFailures(failures, names(4), 1_200_000)
  expect(pausedByFailures(failures, 0)).toBe(1_200_000 + 30_000)
})

test('a failure counts once, and for an hour', () => {
  const first = withFailures({}, ['a'], 1_000)
  expect(withFailures(first, ['a', 'b'], 2_000)).toEqual({ a: 1_000, b: 2_000 })
  expect(withFailures(first, [], 3_602_000)).toEqual({})
})

test('what was noted by a clock that was a day ahead holds no longer than if it were noted now', () => {
  const now = 1_000_000
  const later = now + 86_400_000
  const reach = { now, settleMs: 90_000, keepMs: 60_000 }
  const ahead = remembered({
    ...{ lookedAt: later, byHand: { size: 3, until: later, over }, silent: { a: later } },
    ...{ growthBlockedUntil: later, holdAfter: later, failures: { a: later, b: 5 } },
  })
  expect(withinReach(ahead, reach)).toMatchObject({
    ...{ lookedAt: now, byHand: { size: 3, until: now + 60_000, over }, silent: { a: now } },
    ...{ growthBlockedUntil: now + 3_600_000, holdAfter: now + 90_000, failures: { a: now, b: 5 } },
  })
  const sane = remembered({ holdAfter: now + 5, failures: { a: now - 5 }, growthBlockedUntil: now + 7 })
  expect(withinReach(sane, reach)).toEqual(sane)
})

test('how long a start takes is what it took lately', () => {
  expect(withStarts(null, [])).toBeNull()
  expect(withStarts(null, [100])).toBe(100)
  expect(withStarts(100, [200, 0])).toBeCloseTo(130 + 0.3 * (0.1 - 130))
})
