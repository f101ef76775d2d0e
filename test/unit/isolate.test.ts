import { expect, test } from 'vitest'
import type { Range } from '../../src/shared/media/frame-range.ts'
import { isolate } from '../../src/worker/isolate.ts'
import { careFor } from '../../src/worker/score-with-care.ts'
import { seeded, seeds } from '../../scripts/chaos/seeded.ts'

/** Fails where one of the bad frames is in the range; counts how often it was asked. */
function trialOf(bad: number[]) {
  const asked: Range[] = []
  return {
    asked,
    trial: async (range: Range) => {
      asked.push(range)
      const hit = bad.some((frame) => frame >= range.first && frame < range.first + range.count)
      return hit ? new Error(`${range.count} frames fail`) : undefined
    },
  }
}

test.each(seeds(30))('exactly the bad frames are found, wherever they are (seed %i)', async (seed) => {
  const { int } = seeded(seed)
  const range = { first: int(0, 5_000), count: int(1, 300) }
  const bad = [...new Set(Array.from({ length: int(0, 5) }, () => range.first + int(0, range.count - 1)))]
  const { trial, asked } = trialOf(bad)
  const found = await isolate(range, trial, 10)
  expect(found.frames).toEqual(bad.toSorted((a, b) => a - b))
  // Two trials a halving, and one more for each bad frame; a full search would take `count`.
  expect(asked.length).toBeLessThanOrEqual(1 + bad.length * (1 + 2 * Math.ceil(Math.log2(range.count))))
})

test('the search ends once there are more bad frames than may be', async () => {
  const all = Array.from({ length: 200 }, (_, i) => i)
  const { trial, asked } = trialOf(all)
  expect((await isolate({ first: 0, count: 200 }, trial, 0)).frames).toEqual([0])
  expect(asked.length).toBeLessThan(20)
})

test('a frame that fails alone only once is not bad: something else went wrong', async () => {
  let deaths = 0
  const trial = async ({ count }: Range) =>
    count > 1 || ++deaths === 1 ? new Error('its engine died') : undefined
  expect(await isolate({ first: 0, count: 2 }, trial, 5)).toEqual({ frames: [] })
})

test('what is not the frames fault ends the search', async () => {
  const trial = async () => await Promise.reject(new Error('storage is away'))
  await expect(isolate({ first: 0, count: 8 }, trial, 5)).rejects.toThrow('storage is away')
})

test.each([
  ['nothing failed', {}, 'together'],
  ['storage was away', { transient: 5 }, 'together'],
  ['its worker left', { lost: 9 }, 'together'],
  ['something failed, who knows what', { unknown: 2 }, 'together'],
  ['its engine died', { resource: 1 }, 'alone'],
  ['the model failed', { poison: 1 }, 'alone'],
  ['its engine died again', { resource: 2 }, 'halved'],
  ['the model failed again', { poison: 2 }, 'halved'],
  ['it fails each time', { unknown: 3 }, 'halved'],
] as const)('when %s (%o) a batch is scored %s', (_, failures, care) => {
  expect(careFor(failures)).toBe(care)
})
