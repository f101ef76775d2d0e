import { film, id, type problems, record } from './api-problems.ts'
import {
  model,
  links,
  running,
  sha256,
  report,
  quarantined,
  rules,
  rulesInForce,
  triggered,
  event,
  schedule,
  run,
  scheduled,
  settings,
  image,
  worker,
  upload,
  link,
  batch,
  readingsJob,
} from './api-samples.ts'

/**
 * What the API's description shows of each operation: a call and its answer as they might be. An operation that is not
 * here is one that nobody can find out how to use; a test holds both to each other, and every example to its schema.
 */
export type OperationExample = {
  /** Its name in programs. */
  id: string
  /** Of the body. */
  request?: unknown
  /** Of bodies of several kinds, by what they are. */
  requests?: Record<string, unknown>
  /** Of the good answer; several kinds of bytes where it is no JSON. */
  answer?: unknown
  media?: string[]
  /** Codes of `problems` that it may answer with, beside those that every operation may. */
  problems: (keyof typeof problems)[]
}

/** By `METHOD /path`, as the routes name it. */
export const operations: Record<string, OperationExample> = {
  'POST /v1/jobs': {
    id: 'submitJob',
    requests: {
      video: {
        source: { url: film },
        model: 'great-wave',
        output: { container: 'mp4', codec: 'h264', crf: 20 },
      },
      images: {
        source: { images: { prefix: 'photos/' } },
        models: ['great-wave', 'starry-night'],
        output: { images: { prefix: 'painted/', format: 'webp' } },
      },
      table: readingsJob,
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
    media: ['video/mp4', 'video/x-matroska', 'video/webm', 'application/x-ndjson', 'text/csv'],
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
