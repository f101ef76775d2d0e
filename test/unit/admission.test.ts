import { expect, test } from 'vitest'
import { TooMuchQueued, estimateFrames, retryAfterSeconds } from '../../src/producer/admission.ts'
import { createShares } from '../../src/producer/fair-share.ts'
import { paceOf } from '../../src/shared/backlog.ts'
import { specOf } from '../support/jobs.ts'

const { source } = specOf()

test.each([
  ['a crumb', 1, 1],
  ['a phone clip', 40_000_000, 2_000],
  ['nothing at all', 0, 1],
])('the frames of %s are estimated from its bytes', (_, bytes, frames) => {
  expect(estimateFrames(specOf('a', { source: { ...source, bytes } }))).toBe(frames)
})

test.each([
  ['by a million rows', 100e6, undefined, 218],
  ['by each of its models', 100e6, 3, 652],
  ['by nothing that is known yet', 0, undefined, 1],
])('the frames that a table stands for are estimated %s', (_, bytes, count, frames) => {
  const spec = specOf('a', { source: { ...source, bytes } })
  spec.request.source = { table: { url: source.url, format: 'csv', key: ['id'], features: ['x'] } }
  spec.models = count === undefined ? undefined : Array.from({ length: count }, () => spec.model)
  expect(estimateFrames(spec)).toBe(frames)
})

test.each([
  ['as long as the fleet needs', 3_000, 30, 100],
  ['a little, where it is nearly done', 10, 30, 5],
  ['ten minutes at most', 1e9, 30, 600],
  ['a minute where nobody knows', 3_000, undefined, 60],
])('a refused caller is asked to wait %s', (_, frames, pace, seconds) => {
  expect(retryAfterSeconds(frames, pace)).toBe(seconds)
})

test.each([
  ['two full minutes and half of this one', [300, 600, 600, 0, 0, 0], 30, 10],
  ['this minute alone', [300, 0, 0], 15, 20],
  ['minutes ago, and nothing since', [0, 0, 0, 600], 0, 600 / 180],
  ['nothing', [0, 0, 0], 30, undefined],
])('the pace of the fleet: %s', (_, minutes, seconds, pace) => {
  expect(paceOf(minutes, seconds)).toBe(pace)
})

const limits = { clientFrames: 1_000, clientJobs: 3, frames: 5_000 }
const refusal = { line: { frames: 4_800, jobs: 9 }, client: { frames: 900, jobs: 3 } }

test.each([
  ['client-frames', 300, 'You have 900 frames in 3 jobs in line; 1000 frames are the limit.', 20],
  ['client-jobs', 300, 'You have 900 frames in 3 jobs in line; 3 jobs are the limit.', 30],
  ['frames', 300, 'Only 5000 frames may be in line.', 10],
] as const)(
  'a refusal (%s) says why, what is before, and when to come back',
  (why, wanted, sentence, wait) => {
    const error = new TooMuchQueued({ ...refusal, why }, wanted, limits, 10)
    expect(error.message).toBe(
      `${sentence} Before this one there are 4800 frames in 9 jobs. Try again in ${wait} s.`,
    )
    expect(error).toMatchObject({
      ...{ code: 'too-much-queued', retryAfterSeconds: wait, line: { frames: 4_800, jobs: 9 } },
    })
  },
)

test('each caller has so much under way at once, and more once that is done', async () => {
  const share = createShares(2)
  const held = Promise.withResolvers<void>()
  const first = [1, 2].map(async () => await share('a', async () => await held.promise))
  await expect(share('a', async () => 'third')).rejects.toMatchObject({ code: 'too-many-requests' })
  expect(await share('b', async () => 'of another')).toBe('of another')
  held.resolve()
  await Promise.all(first)
  expect(await share('a', async () => 'now')).toBe('now')
  await expect(share('a', async () => await Promise.reject(new Error('no')))).rejects.toThrow('no')
  expect(await share('a', async () => 'again')).toBe('again')
})
