import { expect, test } from 'vitest'
import { fateOf, newJobSeen, seeBlob } from '../../src/producer/job-fate.ts'

const day = 86_400_000
const now = 100 * day
const ago = (days: number, ...names: string[]) =>
  names.map((name) => ({ name: `jobs/j/${name}`, modified: new Date(now - days * day) }))
/** Whatever the order that its blobs are seen in. */
function fatesOf(
  blobs: readonly { name: string; modified: Date }[],
  plan: Partial<Parameters<typeof fateOf>[1]>,
) {
  const orders = [blobs, blobs.toReversed()]
  const fates = orders.map((each) => {
    const job = newJobSeen('j')
    for (const blob of each) seeBlob(job, blob)
    return fateOf(job, { now, keepDays: 0, keepFramesDays: 0, ...plan })
  })
  return [...new Set(fates)]
}
const segment = 'segments/000001.mp4'

test.each([
  ['runs', ago(3, 'job.json', 'plan.json', segment).concat(ago(0.5, 'segments/000002.mp4')), 0, 'kept'],
  ['waits, without a secret', ago(30, 'job.json'), 0, 'kept'],
  ['ended', ago(30, 'job.json', 'report.json', 'output.mp4'), 0, 'kept'],
  ['ended, with a late segment', ago(1, 'job.json', 'report.json', segment), 0, 'leftovers'],
  ['ended, with its secret', ago(1, 'job.json', 'report.json', 'secret.json'), 0, 'leftovers'],
  [
    'ended, with signatures of items',
    ago(1, 'job.json', 'report.json', 'secrets/f/000000.json'),
    0,
    'leftovers',
  ],
  ['failed, with its items', ago(1, 'job.json', 'report.json', 'items/f/000000.ndjson'), 0, 'kept'],
  ['ended, with later items', ago(2, 'report.json').concat(ago(1, 'items/f/0.ndjson')), 0, 'leftovers'],
  ['is gone, with late frames', ago(2, 'frames/000000001.png'), 0, 'forsaken'],
  ['goes just now, with late frames', ago(0.5, 'frames/000000001.png'), 0, 'kept'],
  [
    'was never accepted, with signatures of items',
    ago(2, 'job.json', 'secrets/f/000000.json'),
    0,
    'forsaken',
  ],
  ['was never accepted, it seems', ago(2, 'job.json', 'secret.json'), 0, 'forsaken'],
  ['ended a while ago', ago(8, 'job.json', 'report.json', 'output.mp4'), 7, 'expired'],
  ['is kept for a while yet', ago(6, 'job.json', 'report.json', 'output.mp4'), 7, 'kept'],
  ['has run for longer than jobs are kept', ago(0.1, 'job.json', 'plan.json', segment), 0.01, 'kept'],
] as const)('what becomes of a job that %s', (_, blobs, keepDays, fate) => {
  expect(fatesOf(blobs, { keepDays })).toEqual([fate])
})

const video = ['job.json', 'report.json', 'output.mp4']
const frame = 'frames/000000001.png'
test.each([
  ['long ago', ago(31, ...video, frame), 30, 'frames'],
  ['lately', ago(29, ...video, frame), 30, 'kept'],
  ['long ago, and one was edited since', ago(31, ...video, frame).concat(ago(2, frame)), 30, 'kept'],
  ['long ago, where they are kept with the job', ago(31, ...video, frame), 0, 'kept'],
  ['never: it runs', ago(31, 'job.json', 'plan.json', frame), 30, 'kept'],
] as const)('what becomes of the frames that a job kept which ended %s', (_, blobs, keepFramesDays, fate) => {
  expect(fatesOf(blobs, { keepFramesDays })).toEqual([fate])
})
