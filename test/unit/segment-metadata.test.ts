import { expect, test } from 'vitest'
import { readSegmentFacts, writeSegmentFacts } from '../../src/shared/segment-metadata.ts'
import { seeded, seeds } from '../../scripts/chaos/seeded.ts'

const from = (first: number, count: number) => Array.from({ length: count }, (_, i) => first + i)

test.each([
  ['nothing was replaced', [], ''],
  ['frame 0', [0], '0'],
  ['one frame', [7], '7'],
  ['neighbours', [7, 8], '7-8'],
  ['frames apart', [7, 9, 11], '7 9 11'],
  ['a run between', [1, 3, 4, 5, 6, 9], '1 3-6 9'],
])('%s: written in runs, and read back', (_, replaced, text) => {
  const facts = { frames: 250, replaced, through: [] }
  expect(writeSegmentFacts(facts)).toEqual({ frames: '250', replaced: text })
  expect(readSegmentFacts(writeSegmentFacts(facts), facts.frames)).toEqual(facts)
})

test.each(seeds(40))('whatever was replaced is read back (seed %i)', (seed) => {
  const { int, next } = seeded(seed)
  const frames = int(1, 2000)
  const rate = next()
  const replaced = from(0, frames).filter(() => next() < rate)
  const through = from(0, frames).filter((frame) => !replaced.includes(frame) && next() < rate)
  const facts = { frames, replaced, through }
  expect(readSegmentFacts(writeSegmentFacts(facts), facts.frames)).toEqual(facts)
})

test('the longest batch with a damaged middle stays far below what headers hold', () => {
  const facts = { frames: 100_000, replaced: [3, ...from(5_000, 90_000)], through: [] }
  const metadata = writeSegmentFacts(facts)
  expect(Object.entries(metadata).flat().join('').length).toBeLessThan(64)
  expect(readSegmentFacts(metadata, 100_000)).toEqual(facts)
})

test('a segment that says nothing of replaced frames has none', () => {
  expect(readSegmentFacts({ frames: '12' }, 12)).toEqual({ frames: 12, replaced: [], through: [] })
})

test.each<Record<string, string>>([{ frames: '11' }, { frames: '' }, {}])(
  'a segment that does not have the frames of its batch says nothing: %j',
  (metadata) => expect(readSegmentFacts(metadata, 12)).toBeUndefined(),
)
