import { expect, test } from 'vitest'
import { guidedSize, planBatches } from '../../src/producer/plan-batches.ts'
import { seeded, seeds } from '../../scripts/chaos/seeded.ts'

const sum = (numbers: number[]) => numbers.reduce((total, number) => total + number, 0)

const workers = 4

const cutsOf = (batches: number[]) => {
  let end = 0
  return batches.map((count) => (end += count))
}

test.each([
  ['a single frame', 1, [1]],
  ['less than a batch', 10, [10]],
  ['a batch and a crumb', 17, [17]],
  ['a batch and a half', 24, [16, 8]],
  ['a short clip', 200, [25, 22, 20, 17, 16, 16, 16, 16, 16, 16, 16, 4]],
])('batches shrink to the least, and the last takes the crumb: %s', (_, frames, batches) => {
  expect(planBatches(frames, null, { workers })).toEqual(batches)
})

test('more workers, smaller batches; the size follows from the video and that number alone', () => {
  expect(planBatches(600, null, { workers: 2 }).slice(0, 4)).toEqual([150, 113, 85, 63])
  expect(planBatches(600, null, { workers: 8 }).slice(0, 4)).toEqual([38, 36, 33, 31])
  expect(planBatches(600, null, { workers: 1_000 })[0]).toBe(16)
})

test.each([
  [1_000_000, 4, 250],
  [5_000_000, 4, 417],
  [50_000_000, 1_000, 4167],
])('a video of %i frames for %i workers begins with batches of %i', (frames, workers, size) => {
  const batches = planBatches(frames, null, { workers })
  expect(batches[0]).toBe(size)
  expect(sum(batches)).toBe(frames)
})

test.each([
  ['it divides the video', 100, 25, [25, 25, 25, 25]],
  ['a crumb is left', 101, 25, [25, 25, 25, 25, 1]],
  ['one frame each', 3, 1, [1, 1, 1]],
  ['it is longer than the video', 5, 100_000, [5]],
])('a size that is asked for is kept to the frame, keyframes or not: %s', (_, frames, asked, batches) => {
  expect(planBatches(frames, null, { asked, workers })).toEqual(batches)
  expect(planBatches(frames, [0, 24, 26, 52, 98], { asked, workers })).toEqual(batches)
})

test('a cut moves to the keyframe nearest to it, and stays where none is near', () => {
  // Batches of 250; a quarter is 62.
  const keyframes = [0, 187, 240, 313, 450, 800]
  expect(cutsOf(planBatches(5000, keyframes, { workers })).slice(0, 4)).toEqual([240, 450, 700, 950])
})

test.each(seeds(60))('wherever the keyframes lie (seed %i)', (seed) => {
  const { int, pick } = seeded(seed)
  const frames = pick([int(1, 100), int(100, 4000), int(4000, 40_000)])
  const spacing = pick([1, int(2, 12), int(13, 300), int(300, 2000)])
  const keyframes = [0]
  for (let at = int(1, spacing); at < frames; at += int(1, spacing)) keyframes.push(at)
  const batches = planBatches(frames, keyframes, { workers })

  // Every frame is in one batch, and no batch is a crumb.
  expect(sum(batches)).toBe(frames)
  expect(Math.min(...batches)).toBeGreaterThanOrEqual(Math.min(frames, 4))

  // A cut lies on the nearest keyframe within a quarter of a batch, or else where it would be without keyframes.
  const cuts = cutsOf(batches)
  const off = cuts.slice(0, -1).map((cut, i) => {
    const start = cuts[i - 1] ?? 0
    const size = guidedSize(frames - start, frames, { workers })
    const [ideal, reach] = [start + size, Math.floor(size / 4)]
    const near = keyframes.map((key) => Math.abs(key - ideal)).filter((distance) => distance <= reach)
    return { moved: Math.abs(cut - ideal), reach, nearest: near.length > 0 ? Math.min(...near) : 0 }
  })
  expect(off.map(({ moved }) => moved)).toEqual(off.map(({ nearest }) => nearest))
  expect(off.every(({ moved, reach }) => moved <= reach)).toBe(true)
})

test.each([1, 4, 1_000])('there are never too many, for %i workers either', (workers) => {
  for (const frames of [100_000, 1_000_000, 5_000_000, 50_000_000]) {
    const most = planBatches(frames, null, { workers })[0] ?? 0
    // Keyframes that shorten every batch as far as they may.
    const spacing = Math.ceil(most * 0.76)
    const keyframes = Array.from({ length: Math.floor(frames / spacing) }, (_, i) => i * spacing)
    const batches = planBatches(frames, keyframes, { workers })
    expect(batches.length).toBeLessThanOrEqual(20_000)
    expect(sum(batches)).toBe(frames)
  }
})

test('20,000 batches are taken, and more are refused with what to do', () => {
  expect(planBatches(20_000, null, { asked: 1, workers })).toHaveLength(20_000)
  expect(() => planBatches(20_001, null, { asked: 1, workers })).toThrow(
    expect.objectContaining({
      name: 'InputError',
      code: 'too-many-batches',
      message:
        '20001 frames in batches of 1 make 20001 batches; 20000 are the limit. Ask for larger batches.',
    }),
  )
  expect(() => planBatches(200_001, null, { asked: 10, workers })).toThrow(
    /200001 frames in batches of 10 make 20001 batches/,
  )
})

/** When the last of `workers` is done that take the batches in order; cost varies by `cv`, and one may be slow. */
function makespan(costs: number[], { workers, setUp, slow = 1, seed }: Fleet): number {
  const { next: even } = seeded(seed)
  // Of twelve even numbers the sum is as good as normal.
  const normal = () => sum(Array.from({ length: 12 }, () => even())) - 6
  const free = Array.from({ length: workers }, () => 0)
  const ends = costs.map((cost) => {
    const first = free.indexOf(Math.min(...free))
    const pace = (first === 0 ? slow : 1) * Math.max(0.5, 1 + 0.1 * normal())
    return (free[first] = (free[first] ?? 0) + setUp + cost * pace)
  })
  return Math.max(...ends)
}
type Fleet = { workers: number; setUp: number; slow?: number; seed: number }

test.each([
  [16, 1, 0.9],
  [64, 1, 0.75],
  [16, 3, 0.8],
  [64, 3, 0.6],
])(
  '72 minutes of work on %i workers, one of them %i times slower: more than %f of their time is work',
  (n, slow, wanted) => {
    const [frames, secondsPerFrame, setUp] = [86_400, 0.05, 3]
    const batches = planBatches(frames, null, { workers: n, secondsPerFrame, setUpSeconds: setUp })
    const costs = batches.map((count) => count * secondsPerFrame)
    const spans = seeds(40).map((seed) => makespan(costs, { workers: n, setUp, slow, seed }))
    const efficiency = (frames * secondsPerFrame) / n / (sum(spans) / spans.length)
    expect(efficiency).toBeGreaterThan(wanted)
  },
)
