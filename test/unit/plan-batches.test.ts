import { expect, test } from 'vitest'
import { planBatches } from '../../src/producer/plan-batches.ts'
import { seeded, seeds } from './seeded.ts'

const sum = (numbers: number[]) => numbers.reduce((total, number) => total + number, 0)

/** Batch size of a video of this length when nothing moves the cuts. */
const usual = (frames: number) => planBatches(frames, null)[0] as number

const cutsOf = (batches: number[]) => {
  let end = 0
  return batches.map((count) => (end += count))
}

test.each([
  ['a single frame', 1, [1]],
  ['less than a batch', 10, [10]],
  ['a batch and a crumb', 25, [25]],
  ['a batch and a quarter', 30, [24, 6]],
  ['a short clip', 96, [24, 24, 24, 24]],
])('by default: %s', (_, frames, batches) => {
  expect(planBatches(frames, null)).toEqual(batches)
})

test.each([
  ['a clip is cut into some sixteen', 1000, 16, 63],
  ['a long video into batches of 250', 1_000_000, 4000, 250],
  ['5,000,000 frames with room for cuts that move', 5_000_000, 14_970, 334],
  ['more frames than that into larger batches', 50_000_000, 14_997, 3334],
])('by default %s', (_, frames, count, size) => {
  const batches = planBatches(frames, null)
  expect(batches).toHaveLength(count)
  expect(batches[0]).toBe(size)
  expect(sum(batches)).toBe(frames)
})

test.each([
  ['it divides the video', 100, 25, [25, 25, 25, 25]],
  ['a crumb is left', 101, 25, [25, 25, 25, 25, 1]],
  ['one frame each', 3, 1, [1, 1, 1]],
  ['it is longer than the video', 5, 100_000, [5]],
])('a size that is asked for is kept to the frame, keyframes or not: %s', (_, frames, asked, batches) => {
  expect(planBatches(frames, null, asked)).toEqual(batches)
  expect(planBatches(frames, [0, 24, 26, 52, 98], asked)).toEqual(batches)
})

test('a cut moves to the keyframe nearest to it, and stays where none is near', () => {
  // Batches of 250; a quarter is 62.
  const keyframes = [0, 187, 240, 313, 450, 800]
  expect(cutsOf(planBatches(5000, keyframes)).slice(0, 4)).toEqual([240, 450, 700, 950])
})

test.each(seeds(60))('wherever the keyframes lie (seed %i)', (seed) => {
  const { int, pick } = seeded(seed)
  const frames = pick([int(1, 100), int(100, 4000), int(4000, 40_000)])
  const spacing = pick([1, int(2, 12), int(13, 300), int(300, 2000)])
  const keyframes = [0]
  for (let at = int(1, spacing); at < frames; at += int(1, spacing)) keyframes.push(at)
  const size = usual(frames)
  const reach = Math.floor(size / 4)
  const batches = planBatches(frames, keyframes)

  // Every frame is in one batch, and no batch is a crumb.
  expect(sum(batches)).toBe(frames)
  const smallest = Math.min(...batches)
  expect(smallest).toBeGreaterThanOrEqual(Math.min(frames, reach))

  // A cut lies on the nearest keyframe within a quarter of a batch, or else where it would be without keyframes.
  const cuts = cutsOf(batches)
  const off = cuts.slice(0, -1).map((cut, i) => {
    const ideal = (cuts[i - 1] ?? 0) + size
    const near = keyframes.map((key) => Math.abs(key - ideal)).filter((distance) => distance <= reach)
    return { moved: Math.abs(cut - ideal), nearest: near.length > 0 ? Math.min(...near) : 0 }
  })
  expect(off.map(({ moved }) => moved)).toEqual(off.map(({ nearest }) => nearest))
  expect(off.every(({ moved }) => moved <= reach)).toBe(true)
})

test('keyframes that shorten every batch as far as they may never make too many of them', () => {
  const keyframes = Array.from({ length: 25_000 }, (_, i) => i * 200)
  const batches = planBatches(5_000_000, keyframes)
  expect(batches.length).toBeLessThanOrEqual(20_000)
  expect(sum(batches)).toBe(5_000_000)
})

test('20,000 batches are taken, and more are refused with what to do', () => {
  expect(planBatches(20_000, null, 1)).toHaveLength(20_000)
  expect(() => planBatches(20_001, null, 1)).toThrow(
    expect.objectContaining({
      name: 'InputError',
      code: 'too-many-batches',
      message:
        '20001 frames in batches of 1 make 20001 batches; 20000 are the limit. Ask for larger batches.',
    }),
  )
  expect(() => planBatches(200_001, null, 10)).toThrow(/200001 frames in batches of 10 make 20001 batches/)
})
