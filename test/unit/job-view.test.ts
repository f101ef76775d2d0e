import { expect, test } from 'vitest'
import type { JobKind } from '../../src/shared/job-kind.ts'
import { JobView, viewOfFiles, viewOfStatus } from '../../src/producer/job-view.ts'
import { JobSpec, Report } from '../../src/shared/job.ts'
import type { JobStatus } from '../../src/shared/job-status.ts'

const createdAt = Date.UTC(2026, 0, 2, 3, 4, 5)
const later = (seconds: number) => createdAt + seconds * 1_000

const queued: JobStatus = {
  id: 'job-12345678',
  state: 'queued',
  createdAt,
  model: 'relief@1',
  source: 'https://acct.blob.core.windows.net/media/v.mp4',
  framesDone: 0,
}
const scoring: JobStatus = {
  ...queued,
  state: 'scoring',
  scoringAt: later(10),
  framesTotal: 300,
  framesDone: 100,
}
const self = '/v1/jobs/job-12345678'

test('a job that was just taken promises nothing', () => {
  expect(viewOfStatus(queued, later(100))).toEqual({
    id: 'job-12345678',
    status: 'queued',
    createdAt: '2026-01-02T03:04:05.000Z',
    endedAt: null,
    model: 'relief@1',
    source: 'https://acct.blob.core.windows.net/media/v.mp4',
    unit: 'frames',
    makes: 'video',
    frames: { done: 0, total: null },
    fps: null,
    etaSeconds: null,
    workerSeconds: null,
    cost: null,
    error: null,
    output: null,
    links: { self },
  })
})

test('speed and remaining time count from when scoring began', () => {
  expect(viewOfStatus(scoring, later(30))).toMatchObject({
    status: 'scoring',
    frames: { done: 100, total: 300 },
    fps: 5,
    etaSeconds: 40,
    links: { self },
  })
})

test.each([
  ['nothing is scored', { ...scoring, framesDone: 0 }, 30, null, null],
  ['scoring has not begun', { ...scoring, scoringAt: undefined }, 30, null, null],
  ['scoring began half a second ago', scoring, 10.5, null, null],
  ['the clocks differ', scoring, 5, null, null],
  ['the length is unknown', { ...scoring, framesTotal: undefined }, 30, 5, null],
  ['the numbers are odd', { ...scoring, framesDone: 70, framesTotal: 100 }, 13, 23.33, 1.29],
  ['all is scored', { ...scoring, framesDone: 300 }, 30, 15, 0],
  ['most was done before Redis was wiped', { ...scoring, framesBefore: 60 }, 30, 2, 100],
  ['nothing was done since', { ...scoring, framesBefore: 100 }, 30, null, null],
  ['it is being stitched', { ...scoring, state: 'stitching', framesDone: 300 }, 30, 15, 0],
] as const)('speed and remaining time when %s', (_, status, seconds, fps, etaSeconds) => {
  expect(viewOfStatus(status, later(seconds))).toMatchObject({ fps, etaSeconds })
})

const ended = { ...scoring, endedAt: later(70), framesDone: 300 }
const error = 'The source is damaged.'

test.each([
  ['succeeded', { ...ended, state: 'succeeded', output: 'https://a/out.mp4' }],
  ['failed', { ...ended, state: 'failed', error, errorCode: 'damaged-source' }],
  ['cancelled', { ...ended, state: 'cancelled', halt: 'cancelled' }],
] as const)('a job that %s stands still: nothing changes as time goes by', (state, status) => {
  const view = viewOfStatus(status, later(80))
  expect(view).toMatchObject({
    status: state,
    endedAt: new Date(later(70)).toISOString(),
    fps: 5,
    etaSeconds: null,
  })
  expect(viewOfStatus(status, later(80_000))).toEqual(view)
})

test('each end has its links: a report for all, the video for those that succeeded', () => {
  const report = `${self}/report`
  const succeeded = viewOfStatus({ ...ended, state: 'succeeded', output: 'https://a/out.mp4' }, later(80))
  expect(succeeded.output).toBe('https://a/out.mp4')
  expect(succeeded.links).toEqual({ self, report, output: `${self}/output`, preview: `${self}/preview` })
  const links = (kind: JobKind) => viewOfStatus({ ...ended, state: 'succeeded', kind }, later(80)).links
  expect(links({ unit: 'rows', makes: 'scores' })).toEqual({ self, report, output: `${self}/output` })
  expect(links({ unit: 'images', makes: 'images' })).toEqual({ self, report, images: `${self}/links` })
  expect(viewOfStatus({ ...ended, state: 'failed', error }, later(80)).links).toEqual({ self, report })
  expect(viewOfStatus({ ...ended, state: 'cancelled' }, later(80)).links).toEqual({ self, report })
})

test.each([
  ['with a code', { error, errorCode: 'damaged-source' }, { code: 'damaged-source', message: error }],
  ['without a code', { error }, { code: 'failed', message: error }],
  ['none', {}, null],
])('the error of a job: %s', (_, fields, told) => {
  expect(viewOfStatus({ ...ended, state: 'failed', ...fields }, later(80)).error).toEqual(told)
})

test.each(['queued', 'splitting', 'scoring', 'stitching'] as const)(
  'a cancelled job shows so at once, though it is still %s',
  (state) => {
    const view = viewOfStatus({ ...scoring, state, halt: 'cancelled' }, later(30))
    expect(view).toMatchObject({ status: 'cancelled', endedAt: null, etaSeconds: null, links: { self } })
  },
)

test('cancelling comes too late for a job that has ended', () => {
  const view = viewOfStatus({ ...ended, state: 'succeeded', halt: 'cancelled' }, later(80))
  expect(view.status).toBe('succeeded')
})

test('a job that fails shows why while its batches drain', () => {
  const failing = { ...scoring, halt: 'failed', error, errorCode: 'damaged-source' } as const
  expect(viewOfStatus(failing, later(30))).toMatchObject({
    status: 'scoring',
    error: { code: 'damaged-source', message: error },
  })
})

const spec = JobSpec.parse({
  v: 1,
  id: queued.id,
  createdAt: '2026-01-02T03:04:05.000Z',
  request: { source: { url: queued.source }, model: 'relief' },
  requestHash: 'abc',
  source: { url: queued.source, kind: 'own', etag: '"1"', bytes: 1000 },
  model: { name: 'relief', version: '1', sha256: 'abc' },
})
const report = Report.parse({
  v: 1,
  jobId: spec.id,
  status: 'succeeded',
  createdAt: spec.createdAt,
  endedAt: '2026-01-02T03:05:15.000Z',
  seconds: 70,
  source: spec.source,
  model: spec.model,
  frames: 300,
  framesReplaced: [],
  fps: 5,
  output: { url: 'https://a/out.mp4', bytes: 1, sha256: 'abc' },
  batches: { planned: 2, failed: 0 },
  ms: {},
  warnings: [],
})

test('a job that Redis forgot looks as it did, from what lies in storage', () => {
  const remembered: JobStatus = {
    ...ended,
    state: 'succeeded',
    endedAt: Date.parse(report.endedAt),
    output: 'https://a/out.mp4',
  }
  expect(viewOfFiles(spec, report)).toEqual(viewOfStatus(remembered, later(80)))
})

test('a job that Redis forgot before it ended is queued', () => {
  expect(viewOfFiles(spec, undefined)).toEqual(viewOfStatus(queued, later(80)))
})

test('a failed job that Redis forgot tells why, and no frame counts as done', () => {
  const failed = {
    ...report,
    status: 'failed',
    output: undefined,
    error: { code: 'x', message: error },
  } as const
  expect(viewOfFiles(spec, failed)).toMatchObject({
    status: 'failed',
    frames: { done: 0, total: 300 },
    error: { code: 'x', message: error },
    output: null,
    links: { self, report: `${self}/report` },
  })
})

test('every view is one that the API promises', () => {
  const views = [
    viewOfStatus(queued, later(1)),
    viewOfStatus({ ...scoring, framesDone: 71 }, later(33.3)),
    viewOfStatus({ ...ended, state: 'failed', error }, later(80)),
    viewOfFiles(spec, undefined),
    viewOfFiles(spec, report),
  ]
  expect(views.map((view) => JobView.parse(view))).toEqual(views)
})
