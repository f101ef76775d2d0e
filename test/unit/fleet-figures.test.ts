import { expect, test } from 'vitest'
import { type BatchSpan, describeRun } from '../../bench/fleet/real/figures.ts'

const span = (worker: string, index: number, from: number, to: number, frames: number): BatchSpan => ({
  ...{ worker, index, from, to, frames, pace: 1, skipped: false, inferMs: frames * 1_000 },
})
const run = {
  workers: 2,
  secondsPerFrame: 1,
  plan: [5, 5, 3],
  copies: 0,
  processor_busy: 0.25,
  processor_own: 0.2,
}

test('what overlaps in one worker is counted once, and waiting at the end is no set-up', () => {
  const spans = [span('a', 0, 0, 6_000, 5), span('a', 2, 5_000, 10_000, 3), span('b', 1, 0, 7_000, 5)]
  const described = describeRun({ ...run, spans, committedAt: 10_000 })
  // a: 10 s for 8 frames in two batches; b: 7 s for 5 frames in one.
  expect(described).toMatchObject({ frames: 13, batches: 3, makespan_s: 10, setUpSeconds: 1.333 })
  expect(described.efficiency).toBe(0.65)
})

test('a slow worker is measured by its own pace', () => {
  const spans = [
    { ...span('a', 0, 0, 17_000, 5), pace: 3, inferMs: 15_000 },
    span('b', 1, 0, 7_000, 5),
    span('b', 2, 7_000, 12_000, 3),
  ]
  const described = describeRun({ ...run, slow: 3, spans, committedAt: 17_000 })
  expect(described.setUpSeconds).toBe(2)
  expect(described.efficiency).toBe(0.382)
})

test('where a copy came first the run ends with the copy, and its worker had no set-up of ours', () => {
  const spans = [
    { ...span('a', 0, 0, 13_000, 5), pace: 3, skipped: true },
    span('b', 1, 0, 6_000, 5),
    span('b', 2, 6_000, 10_000, 3),
  ]
  const described = describeRun({ ...run, slow: 3, copies: 1, spans, committedAt: 12_500 })
  expect(described).toMatchObject({ makespan_s: 12.5, setUpSeconds: 1, frames: 13 })
})
