import { expect, test } from 'vitest'
import { pauseAfter } from '../../src/shared/claim-breaker.ts'
import { sparingly } from '../../src/shared/sparingly.ts'

test('the first few of each span are said, and the next one says how many were held back', () => {
  let now = 0
  const said: [number, number][] = []
  const hear = sparingly<number>((what, heldBack) => said.push([what, heldBack]), {
    ...{ most: 2, everyMs: 10, now: () => now },
  })
  for (const what of [1, 2, 3, 4]) hear(what)
  now = 10
  hear(5)
  hear(6)
  expect(said).toEqual([
    [1, 0],
    [2, 0],
    [5, 2],
    [6, 0],
  ])
})

test('a few failed claims are nothing; from then on each waits longer, up to a limit', () => {
  expect([1, 4, 5, 6, 7, 8, 1_000].map(pauseAfter)).toEqual([0, 0, 1_000, 2_000, 4_000, 5_000, 5_000])
})
