import { expect, test } from 'vitest'
import { createPace } from '../../src/worker/pace.ts'

/** A batch of 10 frames: its source there after 100 ms, its first frame at the model after 400. */
const batch = (total: number, setUp = 400) => ({ frames: 10, ms: { fetch: 100, setUp, total } })

test('a batch by itself: its frames count from the first at the model, its set-up without what was fetched', () => {
  const pace = createPace()
  expect(pace.framesPerSecond()).toBeNull()
  expect(pace.begin(1_000)(3_400, batch(2_400))).toEqual({ frames: 10, seconds: 2, setUpSeconds: 0.3 })
  expect(pace.framesPerSecond()).toBeCloseTo(10 / 2.3)
})

test('of two that overlap each frame is counted once, and no set-up that waited for its turn', () => {
  const pace = createPace()
  const one = pace.begin(0)
  const other = pace.begin(2_000)
  expect(one(2_400, batch(2_400))).toEqual({ frames: 10, seconds: 2, setUpSeconds: 0.3 })
  const third = pace.begin(3_000)
  expect(other(4_000, batch(2_000))).toEqual({ frames: 10, seconds: 1.6 })
  // All together took as long as the worker was busy.
  expect(third(5_500, batch(2_500))).toEqual({ frames: 10, seconds: 1.5 })
})

test('one that comes after a pause is by itself again', () => {
  const pace = createPace()
  pace.begin(0)(2_400, batch(2_400))
  expect(pace.begin(60_000)(62_400, batch(2_400))).toEqual({ frames: 10, seconds: 2, setUpSeconds: 0.3 })
})

test('one that comes to nothing is no measure, and spoils those beside it, but not those after it', () => {
  const pace = createPace()
  const beside = pace.begin(0)
  const failing = pace.begin(1_000)
  expect(failing(2_000)).toBeUndefined()
  const after = pace.begin(2_100)
  expect(beside(2_400, batch(2_400))).toBeUndefined()
  expect(after(4_400, batch(2_300))).toEqual({ frames: 10, seconds: 1.9 })
})

test('times that make no sense are no measure', () => {
  const pace = createPace()
  expect(pace.begin(0)(1_000, batch(1_000, 1_000))).toBeUndefined()
  expect(pace.begin(2_000)(3_000, { ...batch(1_000), frames: 0 })).toBeUndefined()
  expect(pace.framesPerSecond()).toBeNull()
})

test('only the latest batches tell how fast it is now', () => {
  const pace = createPace()
  for (let i = 0; i < 20; i++) {
    const total = i < 10 ? 10_400 : 1_400
    pace.begin(i * 20_000)(i * 20_000 + total, batch(total))
  }
  expect(pace.framesPerSecond()).toBeCloseTo(10 / 1.3)
})
