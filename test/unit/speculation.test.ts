import { expect, test } from 'vitest'
import { type ActiveBatch, slowBatches } from '../../src/producer/speculation.ts'

const now = 1_000_000
const batch = (entry: string, seconds: number, more: Partial<ActiveBatch> = {}): ActiveBatch => ({
  ...{ entry, worker: entry, startedAt: now - seconds * 1_000, expectedSeconds: 10, copied: false },
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
    'both of a worker are slow',
    idle,
    [batch('a', 45, { worker: 'w' }), batch('b', 44, { worker: 'w' })],
    ['a', 'b'],
  ],
  ['nothing is at work', idle, [], []],
])('copies when %s', (_, { now: at, waiting, idleWorkers }, active, copies) => {
  expect(slowBatches({ now: at, waiting, idleWorkers, active })).toEqual(copies)
})
