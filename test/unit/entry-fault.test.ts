import { expect, test } from 'vitest'
import { type RawEntry, faultOf, jobOf } from '../../src/producer/entry-fault.ts'
import { copyOptions, entryIds, entryOptions } from '../../src/shared/queues.ts'

const jobId = 'b3a4d2f0-0000-4000-8000-000000000001'
const now = Date.parse('2030-01-01T00:00:00Z')

/** A batch as the split adds it, with something else in it. */
function batch({ fields = {}, ...rest }: Partial<RawEntry> = {}): RawEntry {
  return {
    id: Buffer.from(entryIds.batch(jobId, 3)),
    type: 'hash',
    ...rest,
    fields: {
      name: 'batch',
      data: JSON.stringify({ jobId, index: 3, first: 90, count: 30 }),
      opts: JSON.stringify({ ...entryOptions('batch', { isChild: true }), priority: 6, jobId: 'x' }),
      ...{ timestamp: String(now), delay: '0', priority: '6', ats: '2', atm: '1' },
      ...fields,
    },
  }
}
const opts = (options: Record<string, unknown>) => batch({ fields: { opts: JSON.stringify(options) } })

test('an entry as we put it has no fault, also when it waits to be tried again', () => {
  expect(faultOf('batch', batch(), now)).toBeUndefined()
  expect(faultOf('batch', batch({ dueAt: now + 300_000, fields: { delay: '61234.5' } }), now)).toBeUndefined()
})

test('a copy of a batch is as good as the batch, under its own name', () => {
  const data = JSON.stringify({ jobId, index: 3, first: 90, count: 30, copyOf: 'vm_1/7-00ff' })
  const copy = { id: Buffer.from(entryIds.copy(jobId, 3)) }
  const more = { data, opts: JSON.stringify({ ...copyOptions, jobId: 'x' }) }
  expect(faultOf('batch', batch({ ...copy, fields: more }), now)).toBeUndefined()
  expect(faultOf('batch', batch({ fields: more }), now)?.why).toMatch(/should be called .*\.000003\.copy,/)
  expect(faultOf('batch', batch(copy), now)?.why).toMatch(/should be called .*\.000003,/)
  expect(jobOf('batch', copy.id)).toBe(jobId)
})

const nothing = { name: undefined, data: undefined, opts: undefined }

const unreadable: [what: string, entry: RawEntry, why: RegExp][] = [
  ['an id of nothing', batch({ type: 'none' }), /has no content/],
  ['one that was taken, too', batch({ fields: nothing }), /has no content/],
  ['a string where the hash should be', batch({ type: 'string' }), /is a string and not a hash/],
  ['a lock that is a list', batch({ wrongPart: 'lock of the type list' }), /has lock of the type list/],
  ['ten megabytes', batch({ fields: { data: { bytes: 10 << 20, head: '{"a' } } }), /data of 10485760 bytes/],
  ['no data', batch({ fields: { data: undefined } }), /has no data/],
  ['no options', batch({ fields: { opts: undefined } }), /has no opts/],
  ['broken data', batch({ fields: { data: '{"jobId' } }), /data that is not JSON/],
  ['broken options', batch({ fields: { opts: 'attempts=1' } }), /opts that is not JSON/],
  ['options that are a list', batch({ fields: { opts: '[]' } }), /opts that are no object/],
  ['a broken parent', batch({ fields: { parent: '{' } }), /parent that is not JSON/],
  ['a count that is none', batch({ fields: { ats: 'many' } }), /ats that is no count/],
  [
    'a payload of something else',
    batch({ fields: { data: '{"jobId":7}' } }),
    /payload that does not fit: jobId/,
  ],
]

test.for(unreadable)('%s can not be read by anybody', ([, entry, why]) => {
  expect(faultOf('batch', entry, now)).toEqual({ why: expect.stringMatching(why), unreadable: true })
})

const absurd: [what: string, entry: RawEntry, why: RegExp][] = [
  ['an unknown name', batch({ fields: { name: 'mine-coins' } }), /unknown name mine-coins/],
  ['a billion attempts', opts({ attempts: 1e9 }), /options that make no sense: attempts/],
  ['a delay of a year', opts({ delay: 31_536_000_000 }), /options that make no sense: delay/],
  [
    'a back-off of a year',
    opts({ backoff: { type: 'fixed', delay: 31_536_000_000 } }),
    /make no sense: backoff/,
  ],
  ['a priority beyond what there is', opts({ priority: 1e12 }), /make no sense: priority/],
  ['repetition', opts({ repeat: { every: 1 } }), /make no sense: repeat/],
  ['a time in the next century', batch({ dueAt: now + 1e12 }), /delayed for more than an hour/],
  ['the id of another', batch({ id: Buffer.from('7') }), /should be called .*\.000003/],
]

test.for(absurd)('%s can be read, and can not stay', ([, entry, why]) => {
  expect(faultOf('batch', entry, now)).toEqual({ why: expect.stringMatching(why), unreadable: false })
})
