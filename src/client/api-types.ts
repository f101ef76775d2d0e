// Written by `npm run client:types` from the API's own description: change the routes, not this.
/* oxlint-disable max-lines */

export type Accepted = {
  id: string
  status: string
  links: Record<string, string>
}

export type Autoscaler = {
  at: string
  fleet: string
  instances: number
  target: number
  why: string
  demandSeconds: number
  startSeconds: number
  byHand: {
    size: number
    until: string
  } | null
  decisions?: {
    at: string
    target: number
    why: string
  }[]
  error: string | null
}

export type Batch = {
  index: number
  /** its first frame */
  first: number
  frames: number
  state: 'waiting' | 'active' | 'done' | 'failed' | 'skipped'
  framesDone: number
  /** who had it last */
  worker: string | null
  startedAt: string | null
  /** from its last claim to its end, or until now */
  seconds: number | null
  /** of the latest hundred of the job */
  failures: number
  /** what failed last */
  error: string | null
  /** frames that show another one's picture, or the source's */
  unscored: number[]
  /** milliseconds by phase, which overlap */
  ms: Record<string, number>
}

export type Fleet = {
  settings: FleetSettings
  /** null where none has been at work for a minute */
  autoscaler: Autoscaler | null
  /** those that beat last, at most 1000 */
  workers: Worker[]
  workersTotal: number
  rates: Rate[]
}

export type FleetChange = {
  /** never fewer instances */
  min?: number
  /** never more instances */
  max?: number
  /** exactly so many; null gives the size back to the autoscaler */
  size?: number | null
  /** the autoscaler starts and removes nothing; what was to be removed works on */
  paused?: boolean
}

export type FleetSettings = {
  /** never fewer instances */
  min: number
  /** never more instances */
  max: number
  /** exactly so many instances, whatever there is to do; null leaves it to the autoscaler */
  size: number | null
  /** the autoscaler starts and removes nothing; what was to be removed works on */
  paused: boolean
}

export type Incident = {
  at: string
  queue: string
  entry: string
  class: 'input' | 'cancelled' | 'lost' | 'transient' | 'resource' | 'poison' | 'unknown'
  attempt: number
  worker: string
  message: string
  tail?: string
}

export type Job = {
  id: string
  status: 'queued' | 'splitting' | 'scoring' | 'stitching' | 'succeeded' | 'failed' | 'cancelled'
  createdAt: string
  endedAt: string | null
  model: string
  source: string
  /** what is counted as frames: those of a video, images, or rows */
  unit: 'frames' | 'images' | 'rows'
  makes: 'video' | 'images' | 'scores'
  frames: {
    done: number
    total: number | null
  }
  /** frames, images or rows a second since scoring began */
  fps: number | null
  etaSeconds: number | null
  /** how long workers were busy with it so far, also for nothing */
  workerSeconds: number | null
  /** that time by the price of a worker hour; null where no price is set */
  cost: number | null
  error: {
    code: string
    message: string
  } | null
  /** where it is in storage: the video, the scores, or what the images are under */
  output: string | null
  links: Record<string, string>
}

export type JobLinks = {
  /** where it is a blob of the media account, once it is known for a video */
  source?: Link
  /** once there is one */
  output?: Link
  preview?: Link
  report?: Link
  /** the first few of the images it made */
  images?: {
    /** opens it without a token until then */
    url: string
    expires: string
    /** what it is called where the job wants it */
    name: string
  }[]
}

export type JobRequest = {
  source: {
    /** a video: a blob of the media account, or on an allowed host */
    url?: string
    /** pictures, each by itself */
    images?: {
      /** every image of the media container whose name begins so */
      prefix?: string
      /** the images themselves */
      list?: string[]
      /** an NDJSON file with a line an image: { key, url } or { key, name }, a blob of the media container */
      manifest?: string
    }
    /** rows */
    table?: {
      /** one file */
      url?: string
      /** every file of the media container whose name begins so, in order of names */
      prefix?: string
      /** gzip is seen by its first bytes */
      format: 'csv' | 'ndjson'
      /** between the columns of CSV; a comma when absent */
      delimiter?: string
      /** their types; else features are numbers, and others text in CSV, or as they stand in NDJSON */
      columns?: Record<string, 'number' | 'integer' | 'text' | 'boolean' | 'time'>
      /** columns that name a row */
      key: string[]
      /** columns that the model is given, in its order */
      features: string[]
      /** columns whose values tell a partition */
      partitionBy?: string[]
      /** the column that says when */
      time?: string
      /** rows before this time are left out */
      from?: string
      /** rows of this time and later are left out */
      to?: string
    }
  }
  /** name, or name@version */
  model?: string
  /** several, each of which scores every item */
  models?: string[]
  /** a model for each partition of a table */
  modelBy?: {
    pattern: string
  }
  /** for a model that takes a style image: that image */
  style?: {
    url: string
  }
  /** frames: of a video every scored frame is kept as an image, to be edited and stitched again */
  intermediate?: 'ranges' | 'frames'
  output?: {
    /** where to write; the job keeps its own copy when absent */
    url?: string
    container?: 'mp4' | 'mkv' | 'webm'
    codec?: 'h264' | 'hevc' | 'vp9' | 'av1'
    crf?: number
    preset?: 'ultrafast' | 'superfast' | 'veryfast' | 'faster' | 'fast' | 'medium' | 'slow'
    /** of images: an image for each */
    images?: {
      /** where to write, in the media container, with a slash at its end; below the job when absent */
      prefix?: string
      /** that of each source when absent */
      format?: 'png' | 'jpeg' | 'webp' | 'tiff' | 'avif'
      /** of jpeg, webp and avif */
      quality?: number
    }
    /** of a model that makes no pictures: a line for each item, or each frame of a video, of which it need not be said */
    scores?: {
      /** where to write; the job keeps its own copy when absent */
      url?: string
      format?: 'ndjson' | 'csv'
      /** a row for each item, which is the default, or counts only */
      append?: 'row' | 'summary'
      /** classes of each item; 5 when absent */
      top?: number
      /** least score of a detection; 0.5 when absent */
      threshold?: number
      /** columns of a table that go along, before what the model says; those that the source names when absent */
      columns?: string[]
      /** other names for columns of the result, the model’s own among them: { score: "Prediction" } */
      rename?: Record<string, string>
    }
  }
  batch?: {
    frames?: number
    /** images or rows that are scored together */
    items?: number
    /** of a batch, whatever made it fail */
    maxTries?: number
    /** of one try of a batch */
    timeoutSeconds?: number
  }
  /** 10 goes first */
  priority?: number
  /** what a frame does that cannot be decoded or scored */
  onError?: 'fail' | 'passthrough'
  /** most items that may fail; of a video with passthrough, most frames that may go unscored: 1,000 */
  errorThreshold?: number
  /** how much is said of its batches; debug names every item */
  logLevel?: 'error' | 'warn' | 'info' | 'debug'
}

export type JobTemplate = {
  /** frames: of a video every scored frame is kept as an image, to be edited and stitched again */
  intermediate?: 'ranges' | 'frames'
  batch: {
    frames?: number
    /** images or rows that are scored together */
    items?: number
    /** of a batch, whatever made it fail */
    maxTries?: number
    /** of one try of a batch */
    timeoutSeconds?: number
  }
  /** 10 goes first */
  priority: number
  /** what a frame does that cannot be decoded or scored */
  onError: 'fail' | 'passthrough'
  /** most items that may fail; of a video with passthrough, most frames that may go unscored: 1,000 */
  errorThreshold: number
  /** how much is said of its batches; debug names every item */
  logLevel?: 'error' | 'warn' | 'info' | 'debug'
  model: string
  /** for a model that takes a style image: that image */
  style?:
    | {
        /** a blob of the media container */
        name: string
      }
    | {
        url: string
      }
  output: {
    container?: 'mp4' | 'mkv' | 'webm'
    codec?: 'h264' | 'hevc' | 'vp9' | 'av1'
    crf?: number
    preset?: 'ultrafast' | 'superfast' | 'veryfast' | 'faster' | 'fast' | 'medium' | 'slow'
    /** blob of the media container to write: {name} is that of the source without its ending, {dir} its folder below the prefix, {date} the day it landed; the job keeps its own copy when absent */
    name?: string
  }
}

export type JobTemplateInput = {
  /** frames: of a video every scored frame is kept as an image, to be edited and stitched again */
  intermediate?: 'ranges' | 'frames'
  batch?: {
    frames?: number
    /** images or rows that are scored together */
    items?: number
    /** of a batch, whatever made it fail */
    maxTries?: number
    /** of one try of a batch */
    timeoutSeconds?: number
  }
  /** 10 goes first */
  priority?: number
  /** what a frame does that cannot be decoded or scored */
  onError?: 'fail' | 'passthrough'
  /** most items that may fail; of a video with passthrough, most frames that may go unscored: 1,000 */
  errorThreshold?: number
  /** how much is said of its batches; debug names every item */
  logLevel?: 'error' | 'warn' | 'info' | 'debug'
  model: string
  /** for a model that takes a style image: that image */
  style?:
    | {
        /** a blob of the media container */
        name: string
      }
    | {
        url: string
      }
  output?: {
    container?: 'mp4' | 'mkv' | 'webm'
    codec?: 'h264' | 'hevc' | 'vp9' | 'av1'
    crf?: number
    preset?: 'ultrafast' | 'superfast' | 'veryfast' | 'faster' | 'fast' | 'medium' | 'slow'
    /** blob of the media container to write: {name} is that of the source without its ending, {dir} its folder below the prefix, {date} the day it landed; the job keeps its own copy when absent */
    name?: string
  }
}

export type Link = {
  /** opens it without a token until then */
  url: string
  expires: string
}

export type Model = {
  name: string
  version: string
  sha256?: string
  title?: string
  description?: string
  licence?: string
  input:
    | {
        kind?: 'image'
        name?: string
        layout: 'NCHW' | 'NHWC'
        type: 'float32' | 'uint8'
        range:
          | '0..1'
          | '0..255'
          | '-1..1'
          | {
              mean: [number, number, number]
              std: [number, number, number]
            }
        channels: 'RGB' | 'BGR' | 'Y'
      }
    | {
        kind: 'features'
        name?: string
        type: 'float32' | 'float64'
        count: number
      }
  output: {
    name?: string
    layout: 'NCHW' | 'NHWC'
    type: 'float32' | 'uint8'
    range:
      | '0..1'
      | '0..255'
      | '-1..1'
      | {
          mean: [number, number, number]
          std: [number, number, number]
        }
    channels: 'RGB' | 'BGR' | 'Y'
    scale: number
  }
  style?: {
    name: string
    layout: 'NCHW' | 'NHWC'
    type: 'float32' | 'uint8'
    range:
      | '0..1'
      | '0..255'
      | '-1..1'
      | {
          mean: [number, number, number]
          std: [number, number, number]
        }
    channels: 'RGB' | 'BGR' | 'Y'
    size:
      | {
          longSide: number
          multipleOf: number
        }
      | {
          width: number
          height: number
        }
    image?: string
  }
  scores?: {
    task: 'classification' | 'detection' | 'vector' | 'anomaly'
    labels?: string[]
    scores?: string
    boxes?: string
    boxUnit: 'relative' | 'pixels'
    background?: number
    overlap: number
    softmax: boolean
  }
  size:
    | {
        multipleOf: number
      }
    | {
        width: number
        height: number
        fit: 'stretch' | 'letterbox' | 'tile'
      }
}

export type Problem = {
  type: string
  title: string
  status: number
  detail: string
  /** a stable word for programs */
  code: string
  errors?: {
    field: string
    message: string
  }[]
  /** with too-much-queued: what is before the job */
  line?: {
    frames: number
    jobs: number
  }
}

export type Rate = {
  /** name@version; of models by partition their pattern */
  model: string
  /** WIDTHxHEIGHT; of images a size of about as many pixels, of a table FEATURESx1 */
  size: string
  device: string
  /** of one busy worker */
  secondsPerFrame: number
  /** of one batch */
  setUpSeconds: number
  /** how many were measured */
  batches: number
  /** when the last one was, in ms */
  at: number
}

export type ReadingsTaken = {
  /** readings that are kept now */
  taken: number
  /** those of them whose own hour was closed: they are kept under the oldest hour that is open */
  late: number
  /** lines that are no readings */
  refused: number
  /** the first 100 of those, by their number from 1 */
  errors: {
    line: number
    message: string
  }[]
}

export type Report = {
  v: 1
  jobId: string
  status: 'succeeded' | 'failed' | 'cancelled'
  error?: {
    code: string
    message: string
  }
  createdAt: string
  endedAt: string
  seconds: number
  source: {
    url: string
    kind: 'own' | 'http' | 'many'
    etag: string
    bytes: number
  }
  model: {
    name: string
    version: string
    sha256: string
  }
  models?: {
    name: string
    version: string
    sha256: string
  }[]
  style?: {
    url: string
    kind: 'own' | 'http' | 'many'
    etag: string
    bytes: number
  }
  frames: number
  framesReplaced: number[]
  framesPassedThrough: number[]
  fps: number
  items?: {
    total: number
    failed: number
    format: 'images' | 'ndjson' | 'csv'
    failures: {
      key: string
      code: string
      message: string
    }[]
  }
  encoding?: {
    container: 'mp4' | 'mkv' | 'webm'
    codec: 'h264' | 'hevc' | 'vp9' | 'av1'
    crf: number
    preset: 'ultrafast' | 'superfast' | 'veryfast' | 'faster' | 'fast' | 'medium' | 'slow'
  }
  output?: {
    url: string
    bytes: number
    sha256: string
  }
  batches: {
    planned: number
    failed: number
  }
  ms: Record<string, number>
  workerSeconds?: number
  warnings: string[]
  incidents: Incident[]
}

export type Retried = {
  id: string
  jobId: string
  status: 'queued'
  links: Record<string, string>
}

export type Schedule = {
  /** five fields: minute, hour, day of the month, month, day of the week */
  cron: string
  /** by whose clocks the cron goes, as Europe/Berlin */
  timezone?: string
  /** a job request. Its URLs, names and prefixes may hold {yyyy} {mm} {dd} {hh} {min} {run} {from} {to}, all in UTC; blobs of the media container may be given by name in place of url */
  job: Record<string, unknown>
  /** what a run does while the job of the one before goes on: none, wait for it, or cancel it */
  overlap?: 'skip' | 'queue' | 'cancel'
  /** the time that a run is about: then {yyyy} to {min} are those of its beginning, else of the run */
  window?: {
    /** how long it is */
    minutes: number
    /** how long before the run it ends, so that what comes late is in it */
    lagMinutes?: number
  }
}

export type ScheduleHistory = {
  id: string
  /** five fields: minute, hour, day of the month, month, day of the week */
  cron: string
  /** by whose clocks the cron goes, as Europe/Berlin */
  timezone: string
  /** a job request. Its URLs, names and prefixes may hold {yyyy} {mm} {dd} {hh} {min} {run} {from} {to}, all in UTC; blobs of the media container may be given by name in place of url */
  job: Record<string, unknown>
  /** what a run does while the job of the one before goes on: none, wait for it, or cancel it */
  overlap: 'skip' | 'queue' | 'cancel'
  /** the time that a run is about: then {yyyy} to {min} are those of its beginning, else of the run */
  window?: {
    /** how long it is */
    minutes: number
    /** how long before the run it ends, so that what comes late is in it */
    lagMinutes: number
  }
  /** when its times began to count */
  since: string
  nextRun: string
  lastRun: ScheduleRun | null
  /** newest first, the last hundred */
  runs: ScheduleRun[]
}

export type ScheduleRun = {
  /** its own among the runs of the schedule */
  key: string
  /** the time that it is the run of */
  at: string
  /** when that was seen */
  firedAt: string
  by: 'cron' | 'hand'
  outcome: 'waiting' | 'starting' | 'started' | 'skipped' | 'refused'
  jobId?: string
  /** the jobs that are cancelled for it */
  instead?: string[]
  /** runs before it that nobody was there for, at most 1,000 */
  missed?: number
  why?: string
}

export type ScheduleView = {
  id: string
  /** five fields: minute, hour, day of the month, month, day of the week */
  cron: string
  /** by whose clocks the cron goes, as Europe/Berlin */
  timezone: string
  /** a job request. Its URLs, names and prefixes may hold {yyyy} {mm} {dd} {hh} {min} {run} {from} {to}, all in UTC; blobs of the media container may be given by name in place of url */
  job: Record<string, unknown>
  /** what a run does while the job of the one before goes on: none, wait for it, or cancel it */
  overlap: 'skip' | 'queue' | 'cancel'
  /** the time that a run is about: then {yyyy} to {min} are those of its beginning, else of the run */
  window?: {
    /** how long it is */
    minutes: number
    /** how long before the run it ends, so that what comes late is in it */
    lagMinutes: number
  }
  /** when its times began to count */
  since: string
  nextRun: string
  lastRun: ScheduleRun | null
}

export type StoredQuarantineRecord = {
  v: 1
  at: string
  /** where it was found */
  queue: string
  /** its id there */
  entry: string
  jobId?: string
  reason: 'poison' | 'unreadable' | 'refused'
  /** one sentence */
  message: string
  /** frames of the source, counted from 0 */
  frames: number[]
  /** its latest failures */
  incidents: Incident[]
  /** what it carried, cut */
  payload: string
  id: string
}

export type TriggerRule = {
  /** what lines and answers call it */
  name: string
  /** how names begin that it takes */
  prefix: string
  /** how they end, in small or capital letters; none takes all */
  suffixes: string[]
  /** the job that is started; null starts none */
  job: JobTemplate | null
}

export type TriggerRuleInput = {
  /** what lines and answers call it */
  name: string
  /** how names begin that it takes */
  prefix?: string
  /** how they end, in small or capital letters; none takes all */
  suffixes?: string[]
  /** the job that is started; null starts none */
  job: JobTemplateInput | null
}

export type TriggerRules = {
  /** the first that takes a name counts */
  rules: TriggerRuleInput[]
  /** whether a *.trigger.json that lands starts the job in it: of whatever model, source and priority whoever brings it likes */
  triggerFiles?: boolean
}

export type TriggerRulesView = {
  /** the first that takes a name counts */
  rules: TriggerRule[]
  /** whether a *.trigger.json that lands starts the job in it: of whatever model, source and priority whoever brings it likes */
  triggerFiles: boolean
  /** whether nobody has set any */
  byDefault: boolean
}

export type TriggerTried = {
  /** the one that takes it */
  rule: string | null
  /** the job request that it would send */
  request: Record<string, unknown> | null
  /** where it would start none */
  why?: string
}

export type Upload = {
  /** put blocks here, then their list: it needs no token */
  url: string
  /** what a job calls it */
  source: string
  /** when the url ends; ask for another one with this source */
  expires: string
}

export type UploadRequest =
  | {
      /** the file's name */
      name: string
    }
  | {
      /** of an upload that is not done, to go on with it by a new link */
      source: string
    }

export type Worker = {
  id: string
  instance: string
  state: 'idle' | 'busy' | 'draining' | 'held'
  since: number
  startedAt: number
  beatAt: number
  device: string | null
  models: string[]
  framesPerSecond: number | null
  batches: number
  leaving: string | null
}

export type paths = {
  '/v1/events': {
    /** Say that videos have landed */
    post: {
      parameters: {}
      requestBody: { content: { 'application/json': unknown } }
      responses: {
        200: {
          content: {
            'application/json':
              | {
                  validationResponse: string
                }
              | {
                  events: number
                  outcomes: Record<string, number>
                }
          }
        }
        400: { content: { 'application/problem+json': Problem } }
        401: { content: { 'application/problem+json': Problem } }
        403: { content: { 'application/problem+json': Problem } }
        429: { content: { 'application/problem+json': Problem } }
        503: { content: { 'application/problem+json': Problem } }
      }
    }
  }
  '/v1/fleet': {
    /** The fleet: what was set, what the autoscaler decided, every worker, and how fast they are */
    get: {
      parameters: {}
      requestBody?: never
      responses: {
        200: { content: { 'application/json': Fleet } }
        401: { content: { 'application/problem+json': Problem } }
        403: { content: { 'application/problem+json': Problem } }
        429: { content: { 'application/problem+json': Problem } }
        503: { content: { 'application/problem+json': Problem } }
      }
    }
    /** Set the fleet */
    put: {
      parameters: {}
      requestBody: { content: { 'application/json': FleetChange } }
      responses: {
        200: { content: { 'application/json': FleetSettings } }
        400: { content: { 'application/problem+json': Problem } }
        401: { content: { 'application/problem+json': Problem } }
        403: { content: { 'application/problem+json': Problem } }
        422: { content: { 'application/problem+json': Problem } }
        429: { content: { 'application/problem+json': Problem } }
        503: { content: { 'application/problem+json': Problem } }
      }
    }
  }
  '/v1/jobs': {
    /** Submit a video, images or a table */
    post: {
      parameters: { header?: { 'idempotency-key'?: string } }
      requestBody: { content: { 'application/json': JobRequest } }
      responses: {
        202: { content: { 'application/json': Accepted } }
        400: { content: { 'application/problem+json': Problem } }
        401: { content: { 'application/problem+json': Problem } }
        403: { content: { 'application/problem+json': Problem } }
        422: { content: { 'application/problem+json': Problem } }
        429: { content: { 'application/problem+json': Problem } }
        503: { content: { 'application/problem+json': Problem } }
      }
    }
    /** Jobs, newest first */
    get: {
      parameters: { query?: { offset?: number; limit?: number } }
      requestBody?: never
      responses: {
        200: {
          content: {
            'application/json': {
              jobs: Job[]
            }
          }
        }
        400: { content: { 'application/problem+json': Problem } }
        401: { content: { 'application/problem+json': Problem } }
        403: { content: { 'application/problem+json': Problem } }
        429: { content: { 'application/problem+json': Problem } }
        503: { content: { 'application/problem+json': Problem } }
      }
    }
  }
  '/v1/jobs/{id}': {
    /** How a job is doing */
    get: {
      parameters: { path: { id: string } }
      requestBody?: never
      responses: {
        200: { content: { 'application/json': Job } }
        400: { content: { 'application/problem+json': Problem } }
        401: { content: { 'application/problem+json': Problem } }
        403: { content: { 'application/problem+json': Problem } }
        404: { content: { 'application/problem+json': Problem } }
        429: { content: { 'application/problem+json': Problem } }
        503: { content: { 'application/problem+json': Problem } }
      }
    }
    /** Cancel a job */
    delete: {
      parameters: { path: { id: string } }
      requestBody?: never
      responses: {
        202: { content: { 'application/json': Accepted } }
        400: { content: { 'application/problem+json': Problem } }
        401: { content: { 'application/problem+json': Problem } }
        403: { content: { 'application/problem+json': Problem } }
        404: { content: { 'application/problem+json': Problem } }
        409: { content: { 'application/problem+json': Problem } }
        429: { content: { 'application/problem+json': Problem } }
        503: { content: { 'application/problem+json': Problem } }
      }
    }
  }
  '/v1/jobs/{id}/batches': {
    /** The batches of a job: who has each, how long, what failed */
    get: {
      parameters: { path: { id: string }; query?: { offset?: number; limit?: number } }
      requestBody?: never
      responses: {
        200: {
          content: {
            'application/json': {
              total: number
              batches: Batch[]
            }
          }
        }
        400: { content: { 'application/problem+json': Problem } }
        401: { content: { 'application/problem+json': Problem } }
        403: { content: { 'application/problem+json': Problem } }
        404: { content: { 'application/problem+json': Problem } }
        429: { content: { 'application/problem+json': Problem } }
        503: { content: { 'application/problem+json': Problem } }
      }
    }
  }
  '/v1/jobs/{id}/frames': {
    /** A few frames before and after */
    get: {
      parameters: { path: { id: string } }
      requestBody?: never
      responses: {
        200: {
          content: {
            'application/json': {
              pairs: {
                frame: number
                before: string
                after: string
              }[]
            }
          }
        }
        400: { content: { 'application/problem+json': Problem } }
        401: { content: { 'application/problem+json': Problem } }
        403: { content: { 'application/problem+json': Problem } }
        429: { content: { 'application/problem+json': Problem } }
        503: { content: { 'application/problem+json': Problem } }
      }
    }
  }
  '/v1/jobs/{id}/frames/{frame}/{side}': {
    /** One of them, as a JPEG */
    get: {
      parameters: { path: { id: string; frame: number; side: 'before' | 'after' } }
      requestBody?: never
      responses: {
        200: { content: { 'image/jpeg': string } }
        400: { content: { 'application/problem+json': Problem } }
        401: { content: { 'application/problem+json': Problem } }
        403: { content: { 'application/problem+json': Problem } }
        404: { content: { 'application/problem+json': Problem } }
        429: { content: { 'application/problem+json': Problem } }
        503: { content: { 'application/problem+json': Problem } }
      }
    }
  }
  '/v1/jobs/{id}/links': {
    /** Links to what a job reads and made */
    get: {
      parameters: { path: { id: string } }
      requestBody?: never
      responses: {
        200: { content: { 'application/json': JobLinks } }
        400: { content: { 'application/problem+json': Problem } }
        401: { content: { 'application/problem+json': Problem } }
        403: { content: { 'application/problem+json': Problem } }
        404: { content: { 'application/problem+json': Problem } }
        429: { content: { 'application/problem+json': Problem } }
        501: { content: { 'application/problem+json': Problem } }
        503: { content: { 'application/problem+json': Problem } }
      }
    }
  }
  '/v1/jobs/{id}/logs': {
    /** What all roles said of a job */
    get: {
      parameters: { path: { id: string }; query?: { limit?: number; after?: string } }
      requestBody?: never
      responses: {
        200: { content: { 'application/x-ndjson': string } }
        400: { content: { 'application/problem+json': Problem } }
        401: { content: { 'application/problem+json': Problem } }
        403: { content: { 'application/problem+json': Problem } }
        404: { content: { 'application/problem+json': Problem } }
        429: { content: { 'application/problem+json': Problem } }
        503: { content: { 'application/problem+json': Problem } }
      }
    }
  }
  '/v1/jobs/{id}/output': {
    /** The finished video, or the scores */
    get: {
      parameters: { path: { id: string } }
      requestBody?: never
      responses: {
        200: {
          content: {
            'video/mp4': string
            'video/x-matroska': string
            'video/webm': string
            'application/x-ndjson': string
            'text/csv': string
          }
        }
        400: { content: { 'application/problem+json': Problem } }
        401: { content: { 'application/problem+json': Problem } }
        403: { content: { 'application/problem+json': Problem } }
        404: { content: { 'application/problem+json': Problem } }
        429: { content: { 'application/problem+json': Problem } }
        503: { content: { 'application/problem+json': Problem } }
      }
    }
  }
  '/v1/jobs/{id}/preview': {
    /** A few source frames above what became of them */
    get: {
      parameters: { path: { id: string } }
      requestBody?: never
      responses: {
        200: { content: { 'image/jpeg': string } }
        400: { content: { 'application/problem+json': Problem } }
        401: { content: { 'application/problem+json': Problem } }
        403: { content: { 'application/problem+json': Problem } }
        404: { content: { 'application/problem+json': Problem } }
        429: { content: { 'application/problem+json': Problem } }
        503: { content: { 'application/problem+json': Problem } }
      }
    }
  }
  '/v1/jobs/{id}/report': {
    /** What became of a job */
    get: {
      parameters: { path: { id: string } }
      requestBody?: never
      responses: {
        200: { content: { 'application/json': Report } }
        400: { content: { 'application/problem+json': Problem } }
        401: { content: { 'application/problem+json': Problem } }
        403: { content: { 'application/problem+json': Problem } }
        404: { content: { 'application/problem+json': Problem } }
        429: { content: { 'application/problem+json': Problem } }
        503: { content: { 'application/problem+json': Problem } }
      }
    }
  }
  '/v1/jobs/{id}/restitch': {
    /** Stitch the frames of a job once more */
    post: {
      parameters: { path: { id: string } }
      requestBody?: never
      responses: {
        202: {
          content: {
            'application/json': {
              id: string
              outcome: 'resumed' | 'running' | 'ended'
            }
          }
        }
        400: { content: { 'application/problem+json': Problem } }
        401: { content: { 'application/problem+json': Problem } }
        403: { content: { 'application/problem+json': Problem } }
        404: { content: { 'application/problem+json': Problem } }
        409: { content: { 'application/problem+json': Problem } }
        429: { content: { 'application/problem+json': Problem } }
        503: { content: { 'application/problem+json': Problem } }
      }
    }
  }
  '/v1/jobs/{id}/resume': {
    /** Put a job back on the queues */
    post: {
      parameters: { path: { id: string }; query?: { again?: string } }
      requestBody?: never
      responses: {
        200: {
          content: {
            'application/json': {
              id: string
              outcome: 'resumed' | 'running' | 'ended'
            }
          }
        }
        400: { content: { 'application/problem+json': Problem } }
        401: { content: { 'application/problem+json': Problem } }
        403: { content: { 'application/problem+json': Problem } }
        404: { content: { 'application/problem+json': Problem } }
        409: { content: { 'application/problem+json': Problem } }
        429: { content: { 'application/problem+json': Problem } }
        503: { content: { 'application/problem+json': Problem } }
      }
    }
  }
  '/v1/jobs/{id}/stream': {
    /** One job, live */
    get: {
      parameters: { path: { id: string } }
      requestBody?: never
      responses: {
        200: { content: { 'text/event-stream': string } }
        400: { content: { 'application/problem+json': Problem } }
        401: { content: { 'application/problem+json': Problem } }
        403: { content: { 'application/problem+json': Problem } }
        404: { content: { 'application/problem+json': Problem } }
        429: { content: { 'application/problem+json': Problem } }
        503: { content: { 'application/problem+json': Problem } }
      }
    }
  }
  '/v1/models': {
    /** The models a job may name */
    get: {
      parameters: {}
      requestBody?: never
      responses: {
        200: {
          content: {
            'application/json': {
              models: Model[]
            }
          }
        }
        401: { content: { 'application/problem+json': Problem } }
        403: { content: { 'application/problem+json': Problem } }
        429: { content: { 'application/problem+json': Problem } }
        503: { content: { 'application/problem+json': Problem } }
      }
    }
  }
  '/v1/models/{name}/picture': {
    /** What a model does, as a small JPEG */
    get: {
      parameters: { path: { name: string } }
      requestBody?: never
      responses: {
        200: { content: { 'image/jpeg': string } }
        400: { content: { 'application/problem+json': Problem } }
        401: { content: { 'application/problem+json': Problem } }
        403: { content: { 'application/problem+json': Problem } }
        422: { content: { 'application/problem+json': Problem } }
        429: { content: { 'application/problem+json': Problem } }
        503: { content: { 'application/problem+json': Problem } }
      }
    }
  }
  '/v1/quarantine': {
    /** What is in quarantine, newest first */
    get: {
      parameters: { query?: { offset?: number; limit?: number } }
      requestBody?: never
      responses: {
        200: {
          content: {
            'application/json': {
              total: number
              records: StoredQuarantineRecord[]
            }
          }
        }
        400: { content: { 'application/problem+json': Problem } }
        401: { content: { 'application/problem+json': Problem } }
        403: { content: { 'application/problem+json': Problem } }
        429: { content: { 'application/problem+json': Problem } }
        503: { content: { 'application/problem+json': Problem } }
      }
    }
  }
  '/v1/quarantine/{id}': {
    /** One record, with its evidence */
    get: {
      parameters: { path: { id: string } }
      requestBody?: never
      responses: {
        200: { content: { 'application/json': StoredQuarantineRecord } }
        400: { content: { 'application/problem+json': Problem } }
        401: { content: { 'application/problem+json': Problem } }
        403: { content: { 'application/problem+json': Problem } }
        404: { content: { 'application/problem+json': Problem } }
        429: { content: { 'application/problem+json': Problem } }
        503: { content: { 'application/problem+json': Problem } }
      }
    }
    /** Drop a record */
    delete: {
      parameters: { path: { id: string } }
      requestBody?: never
      responses: {
        204: { content?: never }
        400: { content: { 'application/problem+json': Problem } }
        401: { content: { 'application/problem+json': Problem } }
        403: { content: { 'application/problem+json': Problem } }
        404: { content: { 'application/problem+json': Problem } }
        429: { content: { 'application/problem+json': Problem } }
        503: { content: { 'application/problem+json': Problem } }
      }
    }
  }
  '/v1/quarantine/{id}/retry': {
    /** Run the job of a record again, or start it after all */
    post: {
      parameters: { path: { id: string } }
      requestBody?: never
      responses: {
        202: { content: { 'application/json': Retried } }
        400: { content: { 'application/problem+json': Problem } }
        401: { content: { 'application/problem+json': Problem } }
        403: { content: { 'application/problem+json': Problem } }
        404: { content: { 'application/problem+json': Problem } }
        409: { content: { 'application/problem+json': Problem } }
        422: { content: { 'application/problem+json': Problem } }
        429: { content: { 'application/problem+json': Problem } }
        503: { content: { 'application/problem+json': Problem } }
      }
    }
  }
  '/v1/readings': {
    /** Send what devices measured */
    post: {
      parameters: {}
      requestBody: { content: { 'application/x-ndjson': unknown } }
      responses: {
        200: { content: { 'application/json': ReadingsTaken } }
        207: { content: { 'application/json': ReadingsTaken } }
        400: { content: { 'application/problem+json': Problem } }
        401: { content: { 'application/problem+json': Problem } }
        403: { content: { 'application/problem+json': Problem } }
        413: { content: { 'application/problem+json': Problem } }
        415: { content: { 'application/problem+json': Problem } }
        429: { content: { 'application/problem+json': Problem } }
        503: { content: { 'application/problem+json': Problem } }
      }
    }
  }
  '/v1/resume': {
    /** Put every open job back on the queues */
    post: {
      parameters: {}
      requestBody?: never
      responses: {
        200: {
          content: {
            'application/json': {
              resumed: number
              running: number
              ended: number
              unknown: number
              failed: number
            }
          }
        }
        401: { content: { 'application/problem+json': Problem } }
        403: { content: { 'application/problem+json': Problem } }
        429: { content: { 'application/problem+json': Problem } }
        503: { content: { 'application/problem+json': Problem } }
      }
    }
  }
  '/v1/schedules': {
    /** Jobs that are started by the clock */
    get: {
      parameters: {}
      requestBody?: never
      responses: {
        200: {
          content: {
            'application/json': {
              schedules: ScheduleView[]
            }
          }
        }
        401: { content: { 'application/problem+json': Problem } }
        403: { content: { 'application/problem+json': Problem } }
        429: { content: { 'application/problem+json': Problem } }
        503: { content: { 'application/problem+json': Problem } }
      }
    }
  }
  '/v1/schedules/{id}': {
    /** A schedule, and its runs */
    get: {
      parameters: { path: { id: string } }
      requestBody?: never
      responses: {
        200: { content: { 'application/json': ScheduleHistory } }
        400: { content: { 'application/problem+json': Problem } }
        401: { content: { 'application/problem+json': Problem } }
        403: { content: { 'application/problem+json': Problem } }
        404: { content: { 'application/problem+json': Problem } }
        429: { content: { 'application/problem+json': Problem } }
        503: { content: { 'application/problem+json': Problem } }
      }
    }
    /** Start a job by the clock */
    put: {
      parameters: { path: { id: string } }
      requestBody: { content: { 'application/json': Schedule } }
      responses: {
        200: { content: { 'application/json': ScheduleView } }
        400: { content: { 'application/problem+json': Problem } }
        401: { content: { 'application/problem+json': Problem } }
        403: { content: { 'application/problem+json': Problem } }
        422: { content: { 'application/problem+json': Problem } }
        429: { content: { 'application/problem+json': Problem } }
        503: { content: { 'application/problem+json': Problem } }
      }
    }
    /** Remove a schedule and what is known of its runs */
    delete: {
      parameters: { path: { id: string } }
      requestBody?: never
      responses: {
        204: { content?: never }
        400: { content: { 'application/problem+json': Problem } }
        401: { content: { 'application/problem+json': Problem } }
        403: { content: { 'application/problem+json': Problem } }
        404: { content: { 'application/problem+json': Problem } }
        429: { content: { 'application/problem+json': Problem } }
        503: { content: { 'application/problem+json': Problem } }
      }
    }
  }
  '/v1/schedules/{id}/run': {
    /** Make a run of a schedule now */
    post: {
      parameters: { path: { id: string } }
      requestBody: {
        content: {
          'application/json': {
            at?: string
          }
        }
      }
      responses: {
        200: { content: { 'application/json': ScheduleRun } }
        400: { content: { 'application/problem+json': Problem } }
        401: { content: { 'application/problem+json': Problem } }
        403: { content: { 'application/problem+json': Problem } }
        404: { content: { 'application/problem+json': Problem } }
        422: { content: { 'application/problem+json': Problem } }
        429: { content: { 'application/problem+json': Problem } }
        503: { content: { 'application/problem+json': Problem } }
      }
    }
  }
  '/v1/stream': {
    /** The newest jobs, live */
    get: {
      parameters: {}
      requestBody?: never
      responses: {
        200: { content: { 'text/event-stream': string } }
        401: { content: { 'application/problem+json': Problem } }
        403: { content: { 'application/problem+json': Problem } }
        429: { content: { 'application/problem+json': Problem } }
        503: { content: { 'application/problem+json': Problem } }
      }
    }
  }
  '/v1/triggers': {
    /** Which videos that land start which jobs */
    get: {
      parameters: {}
      requestBody?: never
      responses: {
        200: { content: { 'application/json': TriggerRulesView } }
        401: { content: { 'application/problem+json': Problem } }
        403: { content: { 'application/problem+json': Problem } }
        429: { content: { 'application/problem+json': Problem } }
        503: { content: { 'application/problem+json': Problem } }
      }
    }
    /** Set which videos that land start which jobs */
    put: {
      parameters: {}
      requestBody: { content: { 'application/json': TriggerRules } }
      responses: {
        200: { content: { 'application/json': TriggerRulesView } }
        400: { content: { 'application/problem+json': Problem } }
        401: { content: { 'application/problem+json': Problem } }
        403: { content: { 'application/problem+json': Problem } }
        422: { content: { 'application/problem+json': Problem } }
        429: { content: { 'application/problem+json': Problem } }
        503: { content: { 'application/problem+json': Problem } }
      }
    }
  }
  '/v1/triggers/test': {
    /** Which rule would take a video, and what job it would start */
    post: {
      parameters: {}
      requestBody: {
        content: {
          'application/json': {
            name: string
          }
        }
      }
      responses: {
        200: { content: { 'application/json': TriggerTried } }
        400: { content: { 'application/problem+json': Problem } }
        401: { content: { 'application/problem+json': Problem } }
        403: { content: { 'application/problem+json': Problem } }
        429: { content: { 'application/problem+json': Problem } }
        503: { content: { 'application/problem+json': Problem } }
      }
    }
  }
  '/v1/uploads': {
    /** Bring a video */
    post: {
      parameters: {}
      requestBody: { content: { 'application/json': UploadRequest } }
      responses: {
        201: { content: { 'application/json': Upload } }
        400: { content: { 'application/problem+json': Problem } }
        401: { content: { 'application/problem+json': Problem } }
        403: { content: { 'application/problem+json': Problem } }
        409: { content: { 'application/problem+json': Problem } }
        422: { content: { 'application/problem+json': Problem } }
        429: { content: { 'application/problem+json': Problem } }
        501: { content: { 'application/problem+json': Problem } }
        503: { content: { 'application/problem+json': Problem } }
      }
    }
  }
}
