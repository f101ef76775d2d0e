import { expect, test } from 'vitest'
import { forPeople } from '../../src/cli/commands/logs.ts'
import { oneLine, visible } from '../../src/cli/output.ts'

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
  ).toEqual(['09:15:02.123 worker     batch done entry=j.000001 frames=96 ms={"infer":4}'])
})

test('what went wrong stands out, with its reason below', () => {
  const err = { type: 'TransientError', message: 'storage throttles\nagain', stack: 'a long one' }
  expect(line({ level: 'warn', msg: 'batch failed', class: 'transient', err })).toEqual([
    '09:15:02.123 worker     WARN: batch failed class=transient',
    '             storage throttles',
    '             again',
  ])
  expect(line({ level: 'error', msg: 'queue trouble', err: 'gone' })[0]).toContain('ERROR: queue trouble')
})

test.each(['{"level":"info","msg":"half writ', 'Killed', 'null', '7', '[]', '{}'])(
  'what is no line of ours is shown as it is: %s',
  (text) => {
    expect(forPeople(text)).toEqual([text])
  },
)

test('what a terminal would do is shown, not done', () => {
  expect(visible('a\u001b]0;owned\u0007b\u009b31m\u007f\rc\u202ed')).toBe(
    String.raw`a\u001b]0;owned\u0007b\u009b31m\u007f\u000dc\u202ed`,
  )
  expect(visible('Straße 東京 👩‍💻\tone\ntwo')).toBe('Straße 東京 👩‍💻\tone\ntwo')
  expect(oneLine('one\r\n  two\n')).toBe('one two')
  // JSON stays what it was.
  const value = { name: 'a\u001b[2Jb\u009bc\u202e' }
  expect(JSON.parse(visible(JSON.stringify(value)))).toEqual(value)
})
