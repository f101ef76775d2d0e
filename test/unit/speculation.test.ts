import { expect, test } from 'vitest'
import { type ActiveBatch, slowBatches } from '../../src/producer/speculation.ts'

const now = 1_000_000
const batch = (entry: string, seconds: number, more: Partial<ActiveBatch> = {}): ActiveBatch => ({
  ...{ entry, worker: entry, startedAt: now - seconds * 1_000, expectedSeconds: 10, copied: false },
  ...{ setUpSeconds: 0, fractionDone: 0 },
  ...more,
})
const idle = { now, waiting: 0, idleWorkers: 4 }

test.each([
  ['one takes twice as long, and more', idle, [batch('a', 21), batch('b', 19)], ['a']],
  ['one takes exactly twice as long', idle, [batch('a', 20)], []],
  ['the slowest goes first', idle, [batch('a', 25), batch('b', 90), batch('c', 40)], ['b', 'c', 'a']],
  ['what is long in itself is not slow', idle, [batch('a', 100, { expectedSeconds: 60 })], []],
  ['what is over in a moment is not slow', idle, [batch('a', 3, { expectedSeconds: 0.1 })], []],
  ['there is a copy already', idle, [batch('a', 90, { copied: true })], []],
  ['something waits', { ...idle, waiting: 1 }, [batch('a', 90)], []],
  ['nobody is idle', { ...idle, idleWorkers: 0 }, [batch('a', 90)], []],
  ['one is idle', { ...idle, idleWorkers: 1 }, [batch('a', 90), batch('b', 91)], ['b']],
  [
    'the second of a worker waits for its first',
    idle,
    [batch('a', 35, { worker: 'w' }), batch('b', 30, { worker: 'w' })],
    ['a'],
  ],
  [
    'its first is copied already, and still in its way',
    idle,
    [batch('a', 35, { worker: 'w', copied: true }), batch('b', 30, { worker: 'w' })],
    [],
  ],
  [
    'both of a worker are slow',
    idle,
    [batch('a', 45, { worker: 'w' }), batch('b', 44, { worker: 'w' })],
    ['a', 'b'],
  ],
  ['nothing is at work', idle, [], []],
  ['a tenth took what a third should', idle, [batch('a', 3.1, { fractionDone: 0.1 })], ['a']],
  ['a tenth took what a sixth should', idle, [batch('a', 1.6, { fractionDone: 0.1 })], []],
  ['too little is done to tell', idle, [batch('a', 3, { fractionDone: 0.05 })], []],
  [
    'it is slow, but done before a copy would be',
    idle,
    [batch('a', 25, { fractionDone: 0.75 }), batch('b', 22, { fractionDone: 0.65 })],
    ['b'],
  ],
  [
    'its set-up says nothing about its frames',
    idle,
    [batch('a', 9, { fractionDone: 0.5, expectedSeconds: 11, setUpSeconds: 5 })],
    [],
  ],
])('copies when %s', (_, { now: at, waiting, idleWorkers }, active, copies) => {
  expect(slowBatches({ now: at, waiting, idleWorkers, active })).toEqual(copies)
})
