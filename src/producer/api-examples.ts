/**
 * What the API's description shows of each operation: a call and its answer as they might be. An operation that is not
 * here is one that nobody can find out how to use; a test holds both to each other, and every example to its schema.
 */
export type OperationExample = {
  /** Its name in programs. */
  id: string
  /** Of the body. */
  request?: unknown
  /** Of the good answer; several kinds of bytes where it is no JSON. */
  answer?: unknown
  media?: string[]
  /** Codes of `problems` that it may answer with, beside those that every operation may. */
  problems: (keyof typeof problems)[]
}

const id = '4f8a2b1c-7d3e-4c5f-9a6b-0e1d2c3b4a59'
const film = 'https://account.blob.core.windows.net/media/in/film.mp4'
const record = `batch.${id}.17`
const model = 'great-wave@1'

/** What goes wrong, by the code that programs go by: the status, and a sentence as it might be. */
export const problems = {
  'bad-request': [400, 'output.crf: Too big: expected number to be <=63'],
  unauthorized: [401, 'A valid token is needed: Authorization: Bearer TOKEN.'],
  forbidden: [403, 'The role Job.Submit is needed.'],
  'job-unknown': [404, `There is no job ${id}.`],
  'not-there': [404, `The job ${id} has no report yet.`],
  'record-unknown': [404, `There is no record ${record} in quarantine.`],
  'schedule-unknown': [404, 'There is no schedule hourly.'],
  'bad-schedule': [422, 'job: {year} stands for nothing; there are dd, from, hh, min, mm, run, to, yyyy'],
  'too-many-schedules': [422, "There are 200 schedules; more can't be kept."],
  'unknown-model': [422, 'There is no model great-wafe.'],
  'upload-done': [409, 'This upload is done: submit a job with it.'],
  'no-links': [501, 'This system reaches its storage by a SAS, and so can make no links to it.'],
  'upload-unknown': [422, 'This is no upload of yours; begin one with its name.'],
  'job-ended': [409, `The job ${id} can't be cancelled any more (succeeded).`],
  'job-open': [409, `The job ${id} has not ended; it can be run again if it fails.`],
  'no-frames': [409, `The job ${id} kept no frames: submit it with intermediate "frames".`],
  'job-ending': [409, `The end of the job ${id} is still being written down; try again.`],
  'source-not-found': [422, `The source ${film} is not there (404). Check the URL.`],
  'not-retryable': [422, `The record ${record} belongs to no job; it can only be dropped.`],
  'bad-events': [400, 'The body is no event of Event Grid, nor a list of some.'],
  'bad-readings': [400, 'The body says that it is gzip, and is not, or not whole.'],
  'readings-too-large': [413, 'The body unpacks to more than 4 MiB; send it in parts.'],
  'bad-encoding': [415, 'Content-Encoding may be gzip, or none; not br.'],
  'bad-fleet': [422, 'min must not be above max: min would be 9, max 4, size auto.'],
  'too-many-requests': [429, 'Too many requests with this token; try again in 1 s.'],
  'too-much-queued': [429, 'The 9800000 frames you have in line leave no room for 432000 more.'],
  unavailable: [503, 'Storage or Redis is not answering; try again.'],
} as const satisfies Record<string, readonly [status: number, detail: string]>

/** Where a token is needed. */
export const problemsOfAll = ['unauthorized', 'forbidden', 'too-many-requests', 'unavailable'] as const

const links = {
  self: `/v1/jobs/${id}`,
}
const running = {
  ...{ id, status: 'scoring', createdAt: '2026-03-01T09:30:00.000Z', endedAt: null, model, source: film },
  ...{ frames: { done: 1_840, total: 10_883 }, fps: 92.4, etaSeconds: 97.87, error: null, output: null },
  ...{ workerSeconds: 41.2, cost: 0.0062, links },
}
const source = { url: film, kind: 'own', etag: '"0x8DC1F2"', bytes: 48_210_334 }
const sha256 = '5f0c4b1d2e3a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0'
const report = {
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
const quarantined = {
  ...{ id: record, v: 1, at: '2026-03-01T09:31:12.000Z', queue: 'batch', entry: `${id}.17`, jobId: id },
  ...{ reason: 'poison', message: 'The model fails on 1 frame.', frames: [4_911], incidents: [incident] },
  payload: `{"jobId":"${id}","index":17,"first":4896,"count":288}`,
}
const rules = {
  rules: [
    {
      ...{ name: 'paintings', prefix: 'in/', suffixes: ['.mp4', '.mov'] },
      job: { model: 'great-wave', output: { name: 'out/{dir}/{name}-wave.mp4' } },
    },
  ],
}
/** As they are answered: with what they leave open. */
const rulesInForce = {
  byDefault: false,
  triggerFiles: false,
  rules: rules.rules.map(({ job, ...rule }) => ({
    ...rule,
    job: { ...job, ...{ batch: {}, priority: 5, onError: 'fail', errorThreshold: 10 } },
  })),
}
const triggered = {
  ...{
    source: { url: film },
    model: 'great-wave',
    batch: {},
    priority: 5,
    onError: 'fail',
    errorThreshold: 10,
  },
}
const event = {
  ...{ id: '831e1650-001e-001b-66ab-eeb76e069631', eventType: 'Microsoft.Storage.BlobCreated' },
  ...{
    subject: '/blobServices/default/containers/media/blobs/in/film.mp4',
    eventTime: '2026-03-01T09:30:00Z',
  },
  data: { api: 'PutBlockList', eTag: '0x8DC1F2', url: film },
}
const schedule = {
  ...{ cron: '5 * * * *', timezone: 'Europe/Berlin', overlap: 'skip' },
  window: { minutes: 60, lagMinutes: 5 },
  job: {
    source: { name: 'in/{yyyy}/{mm}/{dd}/{hh}.mp4' },
    ...{ model: 'great-wave', output: { name: 'out/{yyyy}/{mm}/{dd}/{hh}.mp4' } },
  },
}
const run = {
  ...{ key: '2026-03-01T09:05:00.000Z', at: '2026-03-01T09:05:00.000Z', by: 'cron', outcome: 'started' },
  ...{ firedAt: '2026-03-01T09:05:00.214Z', jobId: id },
}
const scheduled = {
  ...{ id: 'hourly', ...schedule, since: '2026-02-28T16:20:00.000Z' },
  ...{ nextRun: '2026-03-01T10:05:00.000Z', lastRun: run },
}
const settings = { min: 0, max: 20, size: null, paused: false }
const image = { layout: 'NCHW', type: 'float32', range: '0..255', channels: 'RGB' }
const worker = {
  ...{ id: 'fleet000012/4711', instance: 'fleet_12', state: 'busy', since: 1_772_357_400_000 },
  ...{ startedAt: 1_772_357_000_000, beatAt: 1_772_357_470_000, device: 'cuda' },
  ...{ models: [`${model} 1280x720`], framesPerSecond: 41.2, batches: 17, leaving: null },
}

const upload = film.replace('film.mp4', '2026-03-01/7d3e9a6b-1d2c3b4a59/film.mp4')
const link = { url: `${film}?sv=2025-11-05&sr=b&sp=r&sig=***`, expires: '2026-03-01T10:30:00.000Z' }
const batch = {
  ...{ index: 17, first: 4_896, frames: 288, state: 'done', framesDone: 288, worker: 'fleet000012/4711' },
  ...{ startedAt: '2026-03-01T09:31:11.000Z', seconds: 8.4, failures: 1, error: incident.message },
  ...{ unscored: [4_911], ms: { decode: 1_610, model: 7_020, encode: 2_900 } },
}

/** By `METHOD /path`, as the routes name it. */
export const operations: Record<string, OperationExample> = {
  'POST /v1/jobs': {
    id: 'submitJob',
    request: {
      source: { url: film },
      model: 'great-wave',
      output: { container: 'mp4', codec: 'h264', crf: 20 },
    },
    answer: { id, status: 'queued', links },
    problems: ['bad-request', 'source-not-found', 'too-much-queued'],
  },
  'GET /v1/jobs': { id: 'listJobs', answer: { jobs: [running] }, problems: ['bad-request'] },
  'GET /v1/jobs/{id}': { id: 'getJob', answer: running, problems: ['bad-request', 'job-unknown'] },
  'DELETE /v1/jobs/{id}': {
    id: 'cancelJob',
    answer: { id, status: 'cancelled', links },
    problems: ['bad-request', 'job-unknown', 'job-ended'],
  },
  'GET /v1/jobs/{id}/report': { id: 'getReport', answer: report, problems: ['bad-request', 'not-there'] },
  'GET /v1/jobs/{id}/output': {
    id: 'getOutput',
    media: ['video/mp4', 'video/x-matroska', 'video/webm'],
    problems: ['bad-request', 'not-there'],
  },
  'GET /v1/jobs/{id}/preview': {
    id: 'getPreview',
    media: ['image/jpeg'],
    problems: ['bad-request', 'not-there'],
  },
  'GET /v1/jobs/{id}/links': {
    id: 'getLinks',
    answer: { source: link, output: link },
    problems: ['bad-request', 'job-unknown', 'no-links'],
  },
  'GET /v1/jobs/{id}/batches': {
    id: 'listBatches',
    answer: { total: 38, batches: [batch] },
    problems: ['bad-request', 'job-unknown'],
  },
  'GET /v1/jobs/{id}/frames': {
    id: 'listFrames',
    answer: {
      pairs: [
        {
          frame: 4_911,
          before: `${links.self}/frames/4911/before`,
          after: `${links.self}/frames/4911/after`,
        },
      ],
    },
    problems: ['bad-request'],
  },
  'GET /v1/jobs/{id}/frames/{frame}/{side}': {
    id: 'getFrame',
    media: ['image/jpeg'],
    problems: ['bad-request', 'not-there'],
  },
  'GET /v1/jobs/{id}/logs': {
    id: 'getLogs',
    answer: `{"level":"info","time":"2026-03-01T09:31:10.000Z","role":"worker","job":"${id}","msg":"batch done"}\n`,
    problems: ['bad-request', 'job-unknown'],
  },
  'GET /v1/jobs/{id}/stream': {
    id: 'streamJob',
    answer: `event: job\ndata: ${JSON.stringify(running)}\n\n`,
    problems: ['bad-request', 'job-unknown'],
  },
  'GET /v1/stream': {
    id: 'streamJobs',
    answer: `event: jobs\ndata: ${JSON.stringify({ jobs: [running] })}\n\n`,
    problems: [],
  },
  'POST /v1/uploads': {
    id: 'beginUpload',
    request: { name: 'film.mp4' },
    answer: { url: `${upload}?sv=2025-11-05&sr=b&sp=rcw&sig=***`, source: upload, expires: link.expires },
    problems: ['bad-request', 'upload-done', 'upload-unknown', 'no-links'],
  },
  'POST /v1/jobs/{id}/resume': {
    id: 'resumeJob',
    answer: { id, outcome: 'resumed' },
    problems: ['bad-request', 'job-unknown', 'job-ending'],
  },
  'POST /v1/jobs/{id}/restitch': {
    id: 'restitchJob',
    answer: { id, outcome: 'resumed' },
    problems: ['bad-request', 'job-unknown', 'no-frames', 'job-ending'],
  },
  'POST /v1/resume': {
    id: 'resumeOpenJobs',
    answer: { resumed: 2, running: 5, ended: 0, unknown: 0, failed: 0 },
    problems: [],
  },
  'GET /v1/quarantine': {
    id: 'listQuarantine',
    answer: { total: 1, records: [quarantined] },
    problems: ['bad-request'],
  },
  'GET /v1/quarantine/{id}': {
    id: 'getQuarantined',
    answer: quarantined,
    problems: ['bad-request', 'record-unknown'],
  },
  'POST /v1/quarantine/{id}/retry': {
    id: 'retryQuarantined',
    answer: { id: record, jobId: id, status: 'queued', links: { job: links.self } },
    problems: ['bad-request', 'record-unknown', 'job-open', 'not-retryable'],
  },
  'DELETE /v1/quarantine/{id}': { id: 'dropQuarantined', problems: ['bad-request', 'record-unknown'] },
  'GET /v1/fleet': {
    id: 'getFleet',
    answer: {
      settings,
      autoscaler: {
        ...{ at: '2026-03-01T09:31:10.000Z', fleet: 'vmss', instances: 3, target: 5, demandSeconds: 9_000 },
        ...{ why: '9000 s of work in 2400 s', startSeconds: 150, byHand: null, error: null },
      },
      ...{ workers: [worker], workersTotal: 1 },
      rates: [
        {
          ...{ model, size: '1280x720', device: 'cuda', secondsPerFrame: 0.0243, setUpSeconds: 1.8 },
          ...{ batches: 412, at: 1_772_357_470_000 },
        },
      ],
    },
    problems: [],
  },
  'PUT /v1/fleet': {
    id: 'setFleet',
    request: { max: 20 },
    answer: settings,
    problems: ['bad-request', 'bad-fleet'],
  },
  'GET /v1/triggers': {
    id: 'getTriggers',
    answer: rulesInForce,
    problems: [],
  },
  'PUT /v1/triggers': {
    id: 'setTriggers',
    request: rules,
    answer: rulesInForce,
    problems: ['bad-request', 'unknown-model'],
  },
  'POST /v1/triggers/test': {
    id: 'testTriggers',
    request: { name: 'in/film.mp4' },
    answer: {
      rule: 'paintings',
      request: { ...triggered, output: { url: film.replace('/in/film', '/out/film-wave') } },
    },
    problems: ['bad-request'],
  },
  'GET /v1/schedules': { id: 'listSchedules', answer: { schedules: [scheduled] }, problems: [] },
  'GET /v1/schedules/{id}': {
    id: 'getSchedule',
    answer: { ...scheduled, runs: [run] },
    problems: ['bad-request', 'schedule-unknown'],
  },
  'PUT /v1/schedules/{id}': {
    id: 'setSchedule',
    request: schedule,
    answer: scheduled,
    problems: ['bad-request', 'bad-schedule', 'too-many-schedules', 'unknown-model'],
  },
  'DELETE /v1/schedules/{id}': { id: 'removeSchedule', problems: ['bad-request', 'schedule-unknown'] },
  'POST /v1/schedules/{id}/run': {
    id: 'runSchedule',
    request: { at: '2026-03-01T09:05:00.000Z' },
    answer: { ...run, by: 'hand' },
    problems: ['bad-request', 'schedule-unknown', 'bad-schedule'],
  },
  'POST /v1/events': {
    id: 'sendEvents',
    request: [event],
    answer: { events: 1, outcomes: { started: 1 } },
    problems: ['bad-events', 'too-much-queued'],
  },
  'POST /v1/readings': {
    id: 'sendReadings',
    request: '{"TS":"2026-03-01T09:30:00Z","Device":"pump-1","Tag":"pressure","Val":4.71}\n',
    answer: { taken: 1, late: 0, refused: 0, errors: [] },
    problems: ['bad-readings', 'readings-too-large', 'bad-encoding'],
  },
  'GET /v1/models': {
    id: 'listModels',
    answer: {
      models: [
        {
          ...{ name: 'great-wave', version: '1', title: 'The Great Wave', sha256 },
          ...{ input: image, output: { ...image, scale: 1 }, size: { multipleOf: 4 } },
        },
      ],
    },
    problems: [],
  },
  'GET /v1/models/{name}/picture': {
    id: 'getModelPicture',
    media: ['image/jpeg'],
    problems: ['bad-request', 'unknown-model'],
  },
}

/** Of parameters, by name. */
export const parameters: Record<string, (operation: string) => unknown> = {
  name: () => 'great-wave',
  frame: () => 4_911,
  side: () => 'after',
  after: () => 'MjAyNi0wMy0wMQ',
  id: (operation) =>
    operation.includes('uarantine') ? record : operation.includes('Schedule') ? 'hourly' : id,
  offset: () => 0,
  limit: () => 20,
  again: () => 'true',
  'idempotency-key': () => 'film-2026-03-01',
}
