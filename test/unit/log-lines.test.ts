import { expect, test } from 'vitest'
import { forPeople } from '../../src/cli/commands/logs.ts'

const line = (fields: Record<string, unknown>) =>
  forPeople(JSON.stringify({ time: '2026-11-21T09:15:02.123Z', role: 'worker', pid: 7, job: 'j', ...fields }))

test('a line is shown with when, who and what, and with what it says beside', () => {
  expect(
    line({
      level: 'info',
      msg: 'batch done',
      entry: 'j.000001',
      queue: 'batch',
      frames: 96,
      ms: { infer: 4 },
    }),
  ).toBe('09:15:02.123 worker     batch done entry=j.000001 frames=96 ms={"infer":4}')
})

test('what went wrong stands out, with its reason below', () => {
  const err = { type: 'TransientError', message: 'storage throttles', stack: 'a long one' }
  expect(line({ level: 'warn', msg: 'batch failed', class: 'transient', err })).toBe(
    '09:15:02.123 worker     WARN: batch failed class=transient\n             storage throttles',
  )
  expect(line({ level: 'error', msg: 'queue trouble', err: 'gone' })).toContain('ERROR: queue trouble\n')
})
