import { expect, test } from 'vitest'
import { joinInstances, unlisted } from '../../src/autoscaler/instances.ts'
import type { FleetInstance } from '../../src/autoscaler/fleet.ts'
import type { WorkerRecord, WorkerState } from '../../src/shared/fleet.ts'

const now = 1_000_000
const running = (name: string, since = now - 100_000): FleetInstance => ({ name, state: 'running', since })
const worker = (instance: string, state: WorkerState, more: Partial<WorkerRecord> = {}): WorkerRecord => ({
  ...{ id: `${instance}/1`, instance, state, since: now - 5_000, startedAt: 0, beatAt: now },
  ...{ device: null, models: [], framesPerSecond: null, batches: 3, leaving: null },
  ...more,
})
type Seen = Parameters<typeof joinInstances>[0]
const join = (instances: FleetInstance[], workers: WorkerRecord[], more: Partial<Seen> = {}) =>
  joinInstances({
    ...{
      now,
      instances,
      capacity: instances.filter(({ state }) => state !== 'leaving').length,
      workers,
      held: [],
      silent: {},
      lookedAt: now - 5_000,
    },
    ...more,
  })
const states = (...args: Parameters<typeof join>) => join(...args).instances.map(({ state }) => state)

test.each<[string, Parameters<typeof join>, string]>([
  ['its only worker is idle', [[running('a')], [worker('a', 'idle')]], 'idle'],
  ['one of two is busy', [[running('a')], [worker('a', 'idle'), worker('a', 'busy')]], 'busy'],
  ['the worker of another one is busy', [[running('a')], [worker('a', 'idle'), worker('b', 'busy')]], 'idle'],
  ['nothing is heard of it', [[running('a')], []], 'starting'],
  ['told to hold, and it says so', [[running('a')], [worker('a', 'held')], { held: ['a'] }], 'held'],
  [
    'told to hold, and it has not heard it',
    [[running('a')], [worker('a', 'idle')], { held: ['a'] }],
    'draining',
  ],
  ['told to hold, and nothing is heard of it any more', [[running('a')], [], { held: ['a'] }], 'draining'],
  ['and that for long', [[running('a')], [], { held: ['a'], silent: { a: now - 700_000 } }], 'failed'],
  [
    'one of its two is still at work',
    [[running('a')], [worker('a', 'held'), worker('a', 'draining')], { held: ['a'] }],
    'draining',
  ],
  ['called back, and it has not heard it', [[running('a')], [worker('a', 'held')]], 'idle'],
  ['called back with a batch in hand', [[running('a')], [worker('a', 'draining')]], 'busy'],
  ['its machine is taken away', [[running('a')], [worker('a', 'busy', { leaving: 'Preempt' })]], 'leaving'],
  ['the fleet says it goes', [[{ ...running('a'), state: 'leaving' }], [worker('a', 'busy')]], 'leaving'],
  [
    'it has been going for too long',
    [[{ ...running('a', now - 700_000), state: 'leaving' }], [worker('a', 'busy')]],
    'failed',
  ],
  ['it failed', [[{ ...running('a'), state: 'failed' }], [worker('a', 'held')], { held: ['a'] }], 'failed'],
])('%s', (_, seen, state) => expect(states(...seen)).toEqual([state]))

test('what was asked for and is not listed yet is on its way', () => {
  const { instances } = join([running('a')], [worker('a', 'idle')], { capacity: 3 })
  expect(instances.slice(1)).toEqual([
    { name: unlisted, state: 'starting', since: now / 1_000 },
    { name: unlisted, state: 'starting', since: now / 1_000 },
  ])
})

test('a start is measured once, from when the instance began until its worker could take work', () => {
  const since = now - 40_000
  const before = join([running('a', since)], [], { lookedAt: since - 1_000 })
  expect(before).toMatchObject({ silent: { a: since }, starts: [] })
  const ready = worker('a', 'idle', { since: now - 2_000, batches: 0 })
  const { silent } = before
  expect(join([running('a', since)], [ready], { silent })).toMatchObject({ starts: [38], silent: {} })
  expect(join([running('a', since)], [ready])).toMatchObject({ starts: [] })
})

test('one that fell silent, or of which nobody remembers anything, has as long as a new one', () => {
  expect(join([running('a')], [])).toMatchObject({
    ...{ silent: { a: now }, instances: [{ state: 'starting', since: now / 1_000 }] },
  })
  expect(join([running('a')], [], { lookedAt: undefined }).silent).toEqual({ a: now })
  expect(join([running('a')], [], { silent: { a: 5_000 } }).instances[0]?.since).toBe(5)
  // It speaks again: that was no start.
  expect(join([running('a')], [worker('a', 'idle')], { silent: { a: 5_000 } }).starts).toEqual([])
})
