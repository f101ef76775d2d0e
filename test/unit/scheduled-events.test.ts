import { expect, test } from 'vitest'
import { noticeFor } from '../../src/worker/scheduled-events.ts'

const now = Date.parse('Mon, 19 Sep 2016 18:29:00 GMT')
const event = (fields: Record<string, unknown> = {}) => ({
  EventId: 'one',
  EventType: 'Preempt',
  Resources: ['pool_0', 'Pool_1'],
  EventStatus: 'Scheduled',
  NotBefore: 'Mon, 19 Sep 2016 18:29:30 GMT',
  ...fields,
})

test.each([
  ['nothing is announced', [], undefined],
  [
    'thirty seconds, less what leaving takes',
    [event()],
    { eventId: 'one', type: 'Preempt', withinMs: 25_000 },
  ],
  ['another machine', [event({ Resources: ['pool_10'] })], undefined],
  ['a pause is no end', [event({ EventType: 'Freeze' })], undefined],
  ['it is over', [event({ EventStatus: 'Completed' })], undefined],
  ['it has begun, and names no time', [event({ EventStatus: 'Started', NotBefore: '' })], { withinMs: 0 }],
  ['a time that has passed', [event({ NotBefore: 'Mon, 19 Sep 2016 18:28:00 GMT' })], { withinMs: 0 }],
  ['a time that is none', [event({ NotBefore: 'soon' })], { withinMs: 0 }],
  [
    'the first of two',
    [
      event({ EventType: 'Reboot', NotBefore: 'Mon, 19 Sep 2016 18:44:00 GMT' }),
      event({ EventId: 'two', EventType: 'Terminate', NotBefore: 'Mon, 19 Sep 2016 18:34:00 GMT' }),
    ],
    { eventId: 'two', type: 'Terminate', withinMs: 295_000 },
  ],
])('%s', (_, Events, notice) => {
  const found = noticeFor({ Events }, 'pool_1', now)
  expect(found).toEqual(notice && { eventId: 'one', type: 'Preempt', ...notice })
})
