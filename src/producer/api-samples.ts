import { film, id, record } from './api-problems.ts'

/** What the examples of the API's answers are made of. */
export const model = 'great-wave@1'
export const links = {
  self: `/v1/jobs/${id}`,
}
export const running = {
  ...{ id, status: 'scoring', createdAt: '2026-03-01T09:30:00.000Z', endedAt: null, model, source: film },
  ...{
    unit: 'frames',
    makes: 'video',
    frames: { done: 1_840, total: 10_883 },
    fps: 92.4,
    etaSeconds: 97.87,
    error: null,
    output: null,
  },
  ...{ workerSeconds: 41.2, cost: 0.0062, links },
}
const source = { url: film, kind: 'own', etag: '"0x8DC1F2"', bytes: 48_210_334 }
export const sha256 = '5f0c4b1d2e3a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0'
export const report = {
  ...{ v: 1, jobId: id, status: 'succeeded', createdAt: '2026-03-01T09:30:00.000Z' },
  ...{ endedAt: '2026-03-01T09:32:04.118Z', seconds: 124.1, source, frames: 10_883, fps: 92.4 },
  ...{ model: { name: 'great-wave', version: '1', sha256 }, framesReplaced: [], framesPassedThrough: [] },
  encoding: { container: 'mp4', codec: 'h264', crf: 20, preset: 'medium' },
  output: { url: `${film.slice(0, -11)}jobs/${id}/output.mp4`, bytes: 61_002_117, sha256 },
  ...{ batches: { planned: 38, failed: 0 }, ms: { decode: 61_020, model: 98_200 }, workerSeconds: 118.4 },
  ...{ warnings: [], incidents: [] },
}
const incident = {
  ...{ at: '2026-03-01T09:31:10.000Z', queue: 'batch', entry: `${id}.17`, class: 'resource', attempt: 2 },
  ...{ worker: 'fleet000012/4711', message: 'The engine died (SIGSEGV).' },
}
export const quarantined = {
  ...{ id: record, v: 1, at: '2026-03-01T09:31:12.000Z', queue: 'batch', entry: `${id}.17`, jobId: id },
  ...{ reason: 'poison', message: 'The model fails on 1 frame.', frames: [4_911], incidents: [incident] },
  payload: `{"jobId":"${id}","index":17,"first":4896,"count":288}`,
}
export const rules = {
  rules: [
    {
      ...{ name: 'paintings', prefix: 'in/', suffixes: ['.mp4', '.mov'] },
      job: { model: 'great-wave', output: { name: 'out/{dir}/{name}-wave.mp4' } },
    },
  ],
}
/** As they are answered: with what they leave open. */
export const rulesInForce = {
  byDefault: false,
  triggerFiles: false,
  rules: rules.rules.map(({ job, ...rule }) => ({
    ...rule,
    job: { ...job, ...{ batch: {}, priority: 5, onError: 'fail', errorThreshold: 10 } },
  })),
}
export const triggered = {
  ...{
    source: { url: film },
    model: 'great-wave',
    batch: {},
    priority: 5,
    onError: 'fail',
    errorThreshold: 10,
  },
}
export const event = {
  ...{ id: '831e1650-001e-001b-66ab-eeb76e069631', eventType: 'Microsoft.Storage.BlobCreated' },
  ...{
    subject: '/blobServices/default/containers/media/blobs/in/film.mp4',
    eventTime: '2026-03-01T09:30:00Z',
  },
  data: { api: 'PutBlockList', eTag: '0x8DC1F2', url: film },
}
export const schedule = {
  ...{ cron: '5 * * * *', timezone: 'Europe/Berlin', overlap: 'skip' },
  window: { minutes: 60, lagMinutes: 5 },
  job: {
    source: { name: 'in/{yyyy}/{mm}/{dd}/{hh}.mp4' },
    ...{ model: 'great-wave', output: { name: 'out/{yyyy}/{mm}/{dd}/{hh}.mp4' } },
  },
}
export const run = {
  ...{ key: '2026-03-01T09:05:00.000Z', at: '2026-03-01T09:05:00.000Z', by: 'cron', outcome: 'started' },
  ...{ firedAt: '2026-03-01T09:05:00.214Z', jobId: id },
}
export const scheduled = {
  ...{ id: 'hourly', ...schedule, since: '2026-02-28T16:20:00.000Z' },
  ...{ nextRun: '2026-03-01T10:05:00.000Z', lastRun: run },
}
export const settings = { min: 0, max: 20, size: null, paused: false }
export const image = { layout: 'NCHW', type: 'float32', range: '0..255', channels: 'RGB' }
export const worker = {
  ...{ id: 'fleet000012/4711', instance: 'fleet_12', state: 'busy', since: 1_772_357_400_000 },
  ...{ startedAt: 1_772_357_000_000, beatAt: 1_772_357_470_000, device: 'cuda' },
  ...{ models: [`${model} 1280x720`], framesPerSecond: 41.2, batches: 17, leaving: null },
}

export const upload = film.replace('film.mp4', '2026-03-01/7d3e9a6b-1d2c3b4a59/film.mp4')
export const link = { url: `${film}?sv=2025-11-05&sr=b&sp=r&sig=***`, expires: '2026-03-01T10:30:00.000Z' }
export const batch = {
  ...{ index: 17, first: 4_896, frames: 288, state: 'done', framesDone: 288, worker: 'fleet000012/4711' },
  ...{ startedAt: '2026-03-01T09:31:11.000Z', seconds: 8.4, failures: 1, error: incident.message },
  ...{ unscored: [4_911], ms: { decode: 1_610, model: 7_020, encode: 2_900 } },
}

/** An hour of what sensors measured, each device's by a model of its own. */
export const readingsJob = {
  source: {
    table: {
      ...{ prefix: 'readings/2026/03/01/09/', format: 'ndjson' },
      ...{ key: ['TS', 'Device', 'Tag'], partitionBy: ['Device', 'Tag'], time: 'TS', features: ['Val'] },
      ...{ from: '2026-03-01T09:00:00Z', to: '2026-03-01T10:00:00Z' },
    },
  },
  modelBy: { pattern: 'svm-{Device}-{Tag}' },
  output: { scores: { format: 'csv', rename: { score: 'Prediction' } } },
  errorThreshold: 1_000,
}
