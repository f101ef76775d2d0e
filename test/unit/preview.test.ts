import { expect, test } from 'vitest'
import { framesToShow } from '../../src/stitcher/preview.ts'

test.each([
  ['one frame', { frames: 1, batches: [1], keyframes: [0] }, [0]],
  ['three frames', { frames: 3, batches: [3], keyframes: [0] }, [0, 1, 2]],
  [
    'batches that begin at keyframes',
    { frames: 400, batches: [120, 80, 100, 100], keyframes: [0, 120, 200, 300] },
    [0, 120, 200, 300],
  ],
  [
    'keyframes far apart',
    { frames: 600, batches: [150, 113, 85, 252], keyframes: [0, 250, 500] },
    [0, 263, 348, 500],
  ],
  ['no keyframes to be had', { frames: 80, batches: [20, 20, 20, 20], keyframes: null }, [0, 20, 40, 60]],
  ['one batch', { frames: 80, batches: [80], keyframes: [0] }, [0, 30, 50, 70]],
])('one frame from each quarter, where little has to be decoded: %s', (_, plan, frames) => {
  expect(framesToShow(plan)).toEqual(frames)
})
