import { expect, test } from 'vitest'
import { batchStarts, packTimes, timesAt, timesOf, toMicroseconds } from '../../src/shared/frame-times.ts'
import { seeded, seeds } from '../../scripts/chaos/seeded.ts'

const ascending = (first: number, count: number, step: (i: number) => number) => {
  const ticks = [first]
  while (ticks.length < count) ticks.push((ticks.at(-1) as number) + step(ticks.length))
  return ticks
}

test.each([
  ['a single frame', [42], { first: 42, runs: [] }],
  ['a start before zero', [-1024, -512, 0], { first: -1024, runs: [512, 2] }],
  ['a constant rate', [0, 1001, 2002, 3003], { first: 0, runs: [1001, 3] }],
  ['milliseconds of 60 frames a second', [0, 17, 33, 50, 67], { first: 0, runs: [17, 1, 16, 1, 17, 2] }],
  ['a gap', [0, 10, 20, 500, 510], { first: 0, runs: [10, 2, 480, 1, 10, 1] }],
])('packing: %s', (_, ticks, packed) => {
  expect(packTimes(ticks)).toEqual(packed)
  expect(timesOf(packTimes(ticks), 0, ticks.length)).toEqual(ticks)
})

test.each(seeds(20))('some frames in one walk are what each alone is (seed %i)', (seed) => {
  const { int } = seeded(seed)
  const packed = packTimes(ascending(int(-500, 500), 300, () => int(1, 3)))
  const frames = Array.from({ length: 300 }, (_, i) => i).filter(() => int(0, 3) === 0)
  expect(timesAt(packed, frames)).toEqual(frames.map((frame) => timesOf(packed, frame, 1)[0]))
  expect(timesAt(packed, [0, 299])).toEqual([packed.first, timesOf(packed, 299, 1)[0]])
})

test('a day of constant rate is one run', () => {
  const frames = 24 * 3600 * 25
  const packed = packTimes(Array.from({ length: frames }, (_, i) => 7 + i * 512))
  expect(packed).toEqual({ first: 7, runs: [512, frames - 1] })
  expect(timesOf(packed, frames - 2, 2)).toEqual([7 + (frames - 2) * 512, 7 + (frames - 1) * 512])
})

test.each(seeds(60))('any part of any times comes back as it was packed (seed %i)', (seed) => {
  const { int, pick } = seeded(seed)
  const palette = [int(1, 9), int(10, 2000), int(2001, 90_000)] as const
  // Odd seeds hold each step for a while, even ones change it from frame to frame.
  let step: number = palette[0]
  const ticks = ascending(int(-5000, 5000), int(1, 400), (i) => {
    if (seed % 2 === 0 || i % 37 === 0) step = pick(palette)
    return step
  })
  const packed = packTimes(ticks)
  expect(timesOf(packed, 0, ticks.length)).toEqual(ticks)
  for (let round = 0; round < 50; round++) {
    const first = int(0, ticks.length - 1)
    const count = int(1, ticks.length - first)
    expect(timesOf(packed, first, count)).toEqual(ticks.slice(first, first + count))
  }
})

test('every single frame can be asked for, on both sides of every change of step', () => {
  const ticks = [0, 5, 10, 11, 12, 13, 100, 200]
  const packed = packTimes(ticks)
  expect(ticks.map((_, frame) => timesOf(packed, frame, 1))).toEqual(ticks.map((tick) => [tick]))
})

test.each([
  ['no frames', 3, 0, []],
  ['more than there are', 2, 9, [20, 30]],
  ['past the end', 4, 1, []],
])('a range that is asked for gives what there is: %s', (_, first, count, times) => {
  expect(timesOf(packTimes([0, 10, 20, 30]), first, count)).toEqual(times)
})

test.each([
  ['nothing', 0, [1, 90_000], 0],
  ['one frame of NTSC', 1, [1001, 30_000], 33_367],
  ['two frames of NTSC', 2, [1001, 30_000], 66_733],
  ['three frames of NTSC', 3, [1001, 30_000], 100_100],
  ['a half goes away from zero', 1, [1, 2_000_000], 1],
  ['a negative half goes away from zero', -1, [1, 2_000_000], -1],
  ['one and a half', 3, [1, 2_000_000], 2],
  ['less than a half', 1, [1, 2_000_001], 0],
  ['less than a negative half', -1, [1, 2_000_001], 0],
  ['two thirds', 2, [1, 3_000_000], 1],
  ['minus two thirds', -2, [1, 3_000_000], -1],
  ['before the start', -1024, [1, 15_360], -66_667],
  ['ticks of a whole second', -3, [1, 1], -3_000_000],
  ['ticks beyond doubles when multiplied', 9_007_199_254_740_991, [1, 1_000_000_000], 9_007_199_254_741],
] as const)('microseconds: %s', (_, ticks, timeBase, micros) => {
  expect(toMicroseconds(ticks, [...timeBase])).toBe(micros)
})

test('hours of 30000/1001 frames a second never drift: each 30000 of them are 1001 seconds exactly', () => {
  const blocks = Array.from({ length: 30 }, (_, i) => i * 12)
  expect(blocks.map((i) => toMicroseconds(i * 30_000, [1001, 30_000]))).toEqual(
    blocks.map((i) => i * 1_001_000_000),
  )
})

test.each(seeds(20))('microseconds are the nearest whole ones to the exact time (seed %i)', (seed) => {
  const { int, pick } = seeded(seed)
  for (let round = 0; round < 200; round++) {
    const num = pick([1, 1, 1001, int(1, 5000)])
    const den = pick([30_000, 90_000, 1_000_000_000, int(1, 2 ** 31)])
    // As large as an answer below 2^53 allows.
    const most = Math.min(Number.MAX_SAFE_INTEGER, Math.floor((9e9 * den) / num))
    const ticks = int(-most, most)
    const exactTimesDen = BigInt(ticks) * BigInt(num) * 1_000_000n
    const off = BigInt(toMicroseconds(ticks, [num, den])) * BigInt(den) - exactTimesDen
    expect(2n * (off < 0n ? -off : off) <= BigInt(den)).toBe(true)
  }
})

test.each([
  ['none', [], []],
  ['one', [7], [0]],
  ['several', [10, 1, 250, 3], [0, 10, 11, 261]],
])('batches start where the one before them ends: %s', (_, batches, starts) => {
  expect(batchStarts(batches)).toEqual(starts)
})
