import { expect, test } from 'vitest'
import { createShownFrames, keyframesOf } from '../../src/producer/shown-frames.ts'

type Frame = { time: number; key: boolean }

function inOrder(frames: Frame[]) {
  const shown = createShownFrames()
  for (const { time, key } of frames) shown.add(time, key)
  const found = shown.inOrder()
  return { times: [...found.times], keyframes: keyframesOf(found) }
}

/** The same with a plain sort. */
function expected(frames: Frame[]) {
  const sorted = frames.toSorted((a, b) => a.time - b.time)
  return {
    times: sorted.map(({ time }) => time),
    keyframes: sorted.flatMap(({ key }, i) => (key ? [i] : [])),
  }
}

/** Groups of pictures as an encoder stores them: a frame comes before those that lean on it. */
const stored = (groups: number): Frame[] =>
  Array.from({ length: groups }, (_, group) =>
    [0, 4, 2, 1, 3].map((place) => ({ time: (5 * group + place) * 512 - 1_024, key: place === 0 })),
  ).flat()

test.each<[string, Frame[]]>([
  ['no frame', []],
  ['one', [{ time: 7, key: true }]],
  ['more than there is room for at first', stored(2_000)],
  [
    'a clock that starts anew',
    [...stored(50), ...stored(50).map(({ time, key }) => ({ time: time + 1, key }))],
  ],
  ['the last one first', stored(60).toReversed()],
  [
    'one far from its place',
    [...stored(100).slice(1), { time: -1_024, key: true }].map(({ time, key }) => ({
      time: time + 0.5,
      key,
    })),
  ],
  [
    'two at the same time keep their order',
    [0, 3, 3, 2, 2, 1].map((time, i) => ({ time, key: i % 2 === 0 })),
  ],
])('frames in the order they are shown: %s', (_, frames) => {
  expect(inOrder(frames)).toEqual(expected(frames))
})
