import { z } from 'zod'
import { Incident } from './incident.ts'
import { TraceParent } from './tracing.ts'
import { Codec, Container, Encoding, Preset } from './encoding.ts'
import { ItemsPlan } from './items/items-plan.ts'
import { ImagesOutput, ImagesSource, ModelBy, ScoresOutput, TableSource } from './items/request.ts'

/**
 * Words of the system.
 *
 *   job      one request: a source, a model, an output
 *   frame    one picture of the source; frames are counted from 0 in the order they are shown
 *   batch    a contiguous range of a job's frames: the unit that is claimed, retried and committed
 *   segment  a batch's encoded output
 *   plan     the time of every frame, and the batches; once written it is law
 *   item     what a job without a video is made of: an image, or a row of a table; counted like a frame
 *   halt     the word that a job is not to go on: its batches drain without work
 */
export const JobId = z
  .string()
  .regex(
    /^[a-z0-9][a-z0-9-]{7,63}$/,
    'no job has such an id: they are 8 to 64 small letters, digits and hyphens',
  )

const modelRefPattern = /^[a-z0-9][a-z0-9-]{0,62}(?:@[A-Za-z0-9._-]{1,32})?$/

const BlobUrl = z.url({ protocol: /^https?$/ }).max(4_000)

const ModelRef = z.string().regex(modelRefPattern)

/** The fields of a request by themselves, for what is made of some of them. */
export const JobFields = z.strictObject({
  source: z
    .strictObject({
      url: BlobUrl.optional().describe('a video: a blob of the media account, or on an allowed host'),
      images: ImagesSource.optional().describe('pictures, each by itself'),
      table: TableSource.optional().describe('rows'),
    })
    .refine(({ url, images, table }) => [url, images, table].filter((it) => it !== undefined).length === 1, {
      path: ['url'],
      error: 'give a url, or images, or a table',
    }),
  model: ModelRef.optional().describe('name, or name@version'),
  models: z.array(ModelRef).min(1).max(100).optional().describe('several, each of which scores every item'),
  modelBy: ModelBy.optional().describe('a model for each partition of a table'),
  style: z
    .strictObject({ url: BlobUrl })
    .optional()
    .describe('for a model that takes a style image: that image'),
  intermediate: z
    .enum(['ranges', 'frames'])
    .optional()
    .describe('frames: of a video every scored frame is kept as an image, to be edited and stitched again'),
  output: z
    .strictObject({
      url: BlobUrl.optional().describe('where to write; the job keeps its own copy when absent'),
      container: Container.optional(),
      codec: Codec.optional(),
      crf: z.number().int().min(0).max(63).optional(),
      preset: Preset.optional(),
      images: ImagesOutput.optional().describe('of images: an image for each'),
      scores: ScoresOutput.optional().describe(
        'of a model that makes no pictures: a line for each item, or each frame of a video, of which it need not be said',
      ),
    })
    .default({}),
  batch: z
    .strictObject({
      frames: z.number().int().min(1).max(100_000).optional(),
      items: z
        .number()
        .int()
        .min(1)
        .max(100_000)
        .optional()
        .describe('images or rows that are scored together'),
      maxTries: z.number().int().min(1).max(20).optional().describe('of a batch, whatever made it fail'),
      timeoutSeconds: z.number().int().min(1).max(86_400).optional().describe('of one try of a batch'),
    })
    .default({}),
  priority: z.number().int().min(1).max(10).default(5).describe('10 goes first'),
  onError: z
    .enum(['fail', 'passthrough'])
    .default('fail')
    .describe('what a frame does that cannot be decoded or scored'),
  errorThreshold: z
    .number()
    .int()
    .min(0)
    .max(1_000_000)
    .default(10)
    .describe(
      'most items that may fail; of a video with passthrough, most frames that may go unscored: 1,000',
    ),
  logLevel: z
    .enum(['error', 'warn', 'info', 'debug'])
    .optional()
    .describe('how much is said of its batches; debug names every item'),
})

const isObject = (value: unknown) => typeof value === 'object' && value !== null && !Array.isArray(value)

export const JobRequest = JobFields.refine(
  ({ model, models, modelBy }) => [model, models, modelBy].filter((it) => it !== undefined).length === 1,
  { path: ['model'], error: 'give a model, or models, or modelBy', when: ({ value }) => isObject(value) },
).meta({ id: 'JobRequest' })
export type JobRequest = z.infer<typeof JobRequest>

const SourceRef = z.object({
  /** Without its query: a SAS lies in the job's secret. */
  url: z.string(),
  /**
   * `own`: a blob of the media account, read with the role's identity; `http`: any other allowed URL; `many`: several, of
   * which the URL is what they begin with, or the first.
   */
  kind: z.enum(['own', 'http', 'many']),
  etag: z.string(),
  bytes: z.number().int().nonnegative(),
})
export type SourceRef = z.infer<typeof SourceRef>

const ModelVersion = z.object({ name: z.string(), version: z.string(), sha256: z.string() })

/** `job.json`: what was accepted, for good. */
export const JobSpec = z.object({
  v: z.literal(1),
  id: JobId,
  createdAt: z.iso.datetime(),
  request: JobRequest,
  requestHash: z.string(),
  /** Whose it is: a digest of the static token it came with, or tenant and object of who has a JWT. */
  client: z.string().default('-'),
  source: SourceRef,
  /** The first of `models`; of a job with a model for each partition the pattern, without a version. */
  model: ModelVersion,
  models: z.array(ModelVersion).optional(),
  style: SourceRef.optional(),
  /** The trace that it is part of, if that is kept: of the span in which it was accepted. */
  trace: TraceParent.optional(),
  /** Whether one of its URLs came with a query, which lies apart. */
  hasSecret: z.boolean().default(true),
})
export type JobSpec = z.infer<typeof JobSpec>

export const JobSecret = z.object({
  sourceQuery: z.string(),
  /** Of jobs that were accepted before outputs were kept apart; else empty, for workers of then. */
  outputQuery: z.string().default(''),
  styleQuery: z.string().default(''),
  /** Of a list of images, in its order. */
  itemQueries: z.array(z.string()).optional(),
})
export type JobSecret = z.infer<typeof JobSecret>

const Rational = z.tuple([z.number().int(), z.number().int().positive()])

// One check for the whole list: zod's own, number by number, takes seconds and a gigabyte for a long film.
const Integers = z.custom<number[]>((list) => Array.isArray(list) && list.every(Number.isSafeInteger))

/** `plan.json` of a video: made once by the split. */
export const Plan = z.object({
  v: z.literal(1),
  jobId: JobId,
  format: z.string(),
  video: z.object({
    index: z.number().int(),
    codec: z.string(),
    /** Pixels as decoded, upright: a rotated source has its sides swapped. */
    width: z.number().int().positive(),
    height: z.number().int().positive(),
    sampleAspect: Rational,
    timeBase: Rational,
    frameRate: Rational,
    variable: z.boolean(),
    colour: z.object({
      range: z.string().nullable(),
      space: z.string().nullable(),
      transfer: z.string().nullable(),
      primaries: z.string().nullable(),
    }),
  }),
  /** Where the container's clock starts, in seconds: ffmpeg counts a file's times from there. */
  startSeconds: z.number(),
  audio: z.array(z.object({ index: z.number().int(), codec: z.string() })),
  subtitles: z.array(z.object({ index: z.number().int(), codec: z.string() })),
  /** Frame times in ticks of the time base: the first, then runs: step, how many, step, how many ... */
  times: z.object({ first: z.number().int(), runs: Integers }),
  /** Frame numbers that decoding may start from; null when the container can't be sought in exactly. */
  keyframes: Integers.nullable(),
  frames: z.number().int().positive(),
  /** Frames in each batch, in order. */
  batches: z.array(z.number().int().positive()),
  /** What they were cut by, unless their size was asked for; without `measured` by the number of frames alone. */
  pace: z
    .object({
      workers: z.number().int().positive(),
      secondsPerFrame: z.number().positive(),
      setUpSeconds: z.number().nonnegative(),
      measured: z.boolean(),
    })
    .optional(),
  /** Of the segments, and the video they become; absent where the model makes no pictures: each batch becomes a part then. */
  encoding: Encoding.optional(),
  warnings: z.array(z.string()),
})
export type Plan = z.infer<typeof Plan>
/** The plan of a video that becomes a video. */
export type VideoPlan = Plan & { encoding: Encoding }

/** The plan of any job. */
export const JobPlan = z.union([ItemsPlan, Plan])
export type JobPlan = z.infer<typeof JobPlan>

/** Whether batches become segments of a video. All others become parts: a line for each item or frame. */
export const makesVideo = (plan: JobPlan): plan is VideoPlan =>
  'encoding' in plan && plan.encoding !== undefined

/** What a batch's job on the queue carries: everything else is in the plan. */
export const BatchPayload = z.strictObject({
  jobId: JobId,
  index: z.number().int().nonnegative(),
  first: z.number().int().nonnegative(),
  count: z.number().int().positive(),
  /** A second try beside the first, which is slow: the worker that has the first one. Whichever commits first counts. */
  copyOf: z.string().min(1).max(200).optional(),
  /** By what its pace is known, where a job has several models. */
  paceModel: z.string().min(1).max(300).optional(),
  /** The job's trace, if this batch is to be part of it. */
  trace: TraceParent.optional(),
})
export type BatchPayload = z.infer<typeof BatchPayload>

/** Milliseconds of a batch by phase. Phases overlap, so they don't add up to `total`. */
export const Timings = z.record(z.string(), z.number())

export const BatchResult = z.object({
  frames: z.number().int().nonnegative(),
  /** Frames that could not be decoded and carry their nearest neighbour's picture. */
  replaced: z.array(z.number().int()),
  /** Frames that the model can't score and that show the source's picture. */
  through: z.array(z.number().int()).default([]),
  skipped: z.enum(['halted', 'committed', 'unplanned']).optional(),
  /** What the model ran on. */
  device: z.string().optional(),
  /** `name@version`, and `WIDTHxHEIGHT` of the video. */
  model: z.string().optional(),
  size: z.string().optional(),
  /** By what its pace is known, where that is not its model and its size. */
  pacedBy: z.object({ model: z.string(), size: z.string() }).optional(),
  ms: Timings,
})
export type BatchResult = z.infer<typeof BatchResult>

export const jobStates = [
  'queued',
  'splitting',
  'scoring',
  'stitching',
  'succeeded',
  'failed',
  'cancelled',
] as const
export type JobState = (typeof jobStates)[number]
export const isEnded = (state: JobState): boolean => ['succeeded', 'failed', 'cancelled'].includes(state)

/** What became of a job's items; those that failed are named, ten thousand at most. */
export const ItemsReport = z.object({
  total: z.number().int(),
  failed: z.number().int(),
  /** What the output is: images, or a file of scores. */
  format: z.enum(['images', 'ndjson', 'csv']),
  failures: z.array(z.object({ key: z.string(), code: z.string(), message: z.string() })),
})

export type ItemsReport = z.infer<typeof ItemsReport>

/** `report.json`: what became of the job. */
export const Report = z
  .object({
    v: z.literal(1),
    jobId: JobId,
    status: z.enum(['succeeded', 'failed', 'cancelled']),
    error: z.object({ code: z.string(), message: z.string() }).optional(),
    createdAt: z.iso.datetime(),
    endedAt: z.iso.datetime(),
    seconds: z.number(),
    source: SourceRef,
    model: ModelVersion,
    /** Where there are several; `model` is the first. Of a model for each partition only the pattern is told. */
    models: z.array(ModelVersion).optional(),
    style: SourceRef.optional(),
    frames: z.number().int(),
    framesReplaced: z.array(z.number().int()),
    framesPassedThrough: z.array(z.number().int()).default([]),
    fps: z.number(),
    items: ItemsReport.optional(),
    encoding: Encoding.optional(),
    output: z.object({ url: z.string(), bytes: z.number().int(), sha256: z.string() }).optional(),
    batches: z.object({ planned: z.number().int(), failed: z.number().int() }),
    ms: Timings,
    /** How long workers were busy with it, also for nothing. */
    workerSeconds: z.number().optional(),
    warnings: z.array(z.string()),
    /** What failed on the way, the latest hundred, oldest first. */
    incidents: z.array(Incident).default([]),
  })
  .meta({ id: 'Report' })
export type Report = z.infer<typeof Report>
