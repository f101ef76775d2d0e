import { expect, test } from 'vitest'
import { withoutFrames } from '../../src/worker/score-frames.ts'
import { seeded, seeds } from '../../scripts/chaos/seeded.ts'

const batch = { first: 100, count: 10 }

test.each([
  ['nothing is missing', [], [{ first: 100, count: 10 }]],
  ['the first is missing', [100], [{ first: 101, count: 9 }]],
  ['the last is missing', [109], [{ first: 100, count: 9 }]],
  [
    'one is missing',
    [104],
    [
      { first: 100, count: 4 },
      { first: 105, count: 5 },
    ],
  ],
  [
    'neighbours are missing, in any order',
    [106, 105, 104],
    [
      { first: 100, count: 4 },
      { first: 107, count: 3 },
    ],
  ],
  ['all but one are missing', [100, 101, 102, 103, 105, 106, 107, 108, 109], [{ first: 104, count: 1 }]],
  ['all are missing', [100, 101, 102, 103, 104, 105, 106, 107, 108, 109], []],
  ['others are missing', [99, 110, 3], [{ first: 100, count: 10 }]],
])('what is left of a batch when %s', (_, missing, ranges) => {
  expect(withoutFrames(batch, missing)).toEqual(ranges)
})

test.each(seeds(30))(
  'each frame is missing or in one stretch, and stretches never touch (seed %i)',
  (seed) => {
    const { int, next } = seeded(seed)
    const range = { first: int(0, 1000), count: int(1, 200) }
    const frames = Array.from({ length: range.count }, (_, i) => range.first + i)
    const rate = next()
    const missing = frames.filter(() => next() < rate)
    const ranges = withoutFrames(range, missing)
    const left = ranges.flatMap(({ first, count }) => Array.from({ length: count }, (_, i) => first + i))
    expect(left).toEqual(frames.filter((frame) => !missing.includes(frame)))
    const gaps = ranges.slice(1).map(({ first }, i) => {
      const before = ranges[i] ?? range
      return first - (before.first + before.count)
    })
    expect(gaps.every((gap) => gap >= 1)).toBe(true)
  },
)
