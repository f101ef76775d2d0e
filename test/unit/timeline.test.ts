import { expect, test } from 'vitest'
import { BatchView, type BatchEntry, viewBatches } from '../../src/shared/timeline.ts'

const jobId = 'job-12345678'
const now = Date.UTC(2026, 0, 1, 0, 1)
const startedAt = now - 10_000
const known = {
  ...{ plan: { batches: [10, 10, 5] }, jobId, from: 1, incidents: [], committed: [], now },
  underWay: new Map([[1, 4]]),
}
const look = (entry: BatchEntry, more: Partial<Parameters<typeof viewBatches>[0]> = {}) =>
  viewBatches({ ...known, entries: [entry], ...more })[0]
const result = { frames: 10, replaced: [], through: [], ms: { decode: 5 } }

test.each<[string, BatchEntry, Partial<BatchView>]>([
  ['waits', { locked: false }, { state: 'waiting', startedAt: null, seconds: null, framesDone: 0 }],
  ['was given back and waits', { locked: false, startedAt }, { state: 'waiting', startedAt: null }],
  [
    'is at work',
    { locked: true, startedAt, worker: 'w/1' },
    { state: 'active', seconds: 10, framesDone: 4, worker: 'w/1' },
  ],
  [
    'is done',
    { locked: false, startedAt, endedAt: now - 4_000, result },
    { state: 'done', seconds: 6, framesDone: 10, ms: { decode: 5 } },
  ],
  [
    'was committed by a copy',
    { locked: false, startedAt, endedAt: now, result: { ...result, skipped: 'committed' } },
    { state: 'done' },
  ],
  [
    'was not needed any more',
    { locked: false, startedAt, endedAt: now, result: { ...result, skipped: 'halted' } },
    { state: 'skipped', framesDone: 0 },
  ],
  [
    'failed for good',
    { locked: false, startedAt, endedAt: now, failed: 'the model fails' },
    { state: 'failed', error: 'the model fails' },
  ],
])('a batch that %s', (_, entry, view) => {
  expect(look(entry)).toMatchObject({ index: 1, first: 10, frames: 10, ...view })
  expect(BatchView.parse(look(entry))).toEqual(look(entry))
})

test('what is committed is done, whatever the queue has forgotten', () => {
  expect(look({ locked: false }, { committed: [true] })).toMatchObject({ state: 'done', framesDone: 10 })
})

test('failures are counted with their batch, and the last one is told; frames without a score are named', () => {
  const incident = (entry: string, message: string) => ({
    ...{ at: new Date(now).toISOString(), queue: 'batch', entry, class: 'unknown' as const },
    ...{ attempt: 1, worker: 'w', message },
  })
  const incidents = [
    incident(`${jobId}.000001`, 'first'),
    incident(`${jobId}.000002`, 'elsewhere'),
    incident(`${jobId}.000001`, 'second'),
  ]
  const done = {
    locked: false,
    startedAt,
    endedAt: now,
    result: { ...result, replaced: [11], through: [12] },
  }
  expect(look(done, { incidents })).toMatchObject({ failures: 2, error: 'second', unscored: [11, 12] })
})
