import { basename, join } from 'node:path'
import pMap from 'p-map'
import type { BlobStore } from '../shared/blob-store.ts'
import { concludeJob } from '../shared/end-job.ts'
import { CancelledError, InputError, TransientError, tooManyErrors } from '../shared/errors.ts'
import { batchStarts } from '../shared/frame-times.ts'
import type { JobSpec, Plan, Report } from '../shared/job.ts'
import type { Incidents } from '../shared/incidents.ts'
import type { JobFiles } from '../shared/job-files.ts'
import type { Halt, JobStatuses } from '../shared/job-status.ts'
import { haltSignal } from '../shared/halt-signal.ts'
import { layout } from '../shared/layout.ts'
import { probeFile } from '../shared/media/ffprobe.ts'
import type { Scratch } from '../shared/scratch.ts'
import { type SegmentFacts, readSegmentFacts } from '../shared/segment-metadata.ts'
import type { SourceReader } from '../shared/source.ts'
import type { WorkContext, Workload } from '../shared/workload.ts'
import { assemble } from './assemble.ts'
import { makePreview } from './preview.ts'
import { publish } from './publish.ts'
import { reportOf, stopwatch } from './report.ts'

export type StitchDeps = {
  files: JobFiles
  statuses: JobStatuses
  incidents: Incidents
  media: BlobStore
  sources: SourceReader
  scratch: Scratch
}

/**
 * Ends a job, well or not: nobody else does, so every accepted job ends exactly here.
 *
 * The stitch entry is the parent of the job's split and batches: it wakes when all of them have ended. It looks at
 * what became of them, then either joins the segments and publishes the video, or says why there is none; writes the
 * report; and removes what only a running job needs. Safe to run twice.
 */
export function stitchWorkload(deps: StitchDeps): Workload<'stitch'> {
  const { files, statuses } = deps
  return {
    queue: 'stitch',
    async process({ jobId }, context) {
      const spec = await files.spec(jobId)
      const done = await files.readReport(jobId)
      // A stitch that died between its report and its end has only to end.
      if (done) return await endJob(deps, done)
      const plan = await files.findPlan(jobId)
      const stopped = await whyStopped(deps, jobId, context)
      if (stopped) return await endJob(deps, await failedReport(spec, plan, stopped, context))
      // Its split may have been lost: it is put on the queue again while this waits for the next attempt.
      if (!plan) throw new TransientError(`The plan of job ${jobId} is missing.`)
      await statuses.advance(jobId, 'stitching')
      const stop = haltSignal(context.signal, () => statuses.halted(jobId))
      const heeding = { ...context, signal: stop.signal }
      try {
        const report = await deps.scratch.within(
          'stitch',
          async (dir) => await finish(deps, { spec, plan, dir, context: heeding }),
        )
        return await endJob(deps, report)
      } catch (error) {
        // Whatever broke, it broke because the job was halted.
        if (!(stop.signal.reason instanceof CancelledError)) throw error
        const why = (await whyStopped(deps, jobId, context)) ?? { status: 'cancelled' as const }
        return await endJob(deps, await failedReport(spec, plan, why, context))
      } finally {
        stop.close()
      }
    },
    async onTerminalFailure({ jobId }, error) {
      const [spec, done, plan] = await Promise.all([
        files.findSpec(jobId),
        files.readReport(jobId),
        files.findPlan(jobId),
      ])
      // Somebody put it on the queue, but nobody ever accepted such a job.
      if (!spec) return
      const code = error instanceof InputError ? error.code : 'stitch-failed'
      const batches = { planned: plan?.batches.length ?? 0, failed: 0 }
      const failed = { status: 'failed', error: { code, message: error.message }, plan, batches } as const
      // What was published and reported is not taken back because clearing up failed.
      await endJob(deps, done ?? reportOf(spec, failed))
    },
  }
}

type Stopped = { status: Halt; error?: { code: string; message: string } }

/** Why there is to be no video: the job was cancelled, or its split or a batch failed for good. */
async function whyStopped(
  { statuses }: StitchDeps,
  jobId: string,
  context: WorkContext,
): Promise<Stopped | undefined> {
  const [status, failures] = await Promise.all([statuses.get(jobId), context.childFailures()])
  if (status?.halt === 'cancelled') return { status: 'cancelled' }
  // It has ended as far as Redis knows: storage was away for longer than all attempts to write its report lasted.
  if (status?.state === 'cancelled') return { status: 'cancelled' }
  const [reason] = Object.values(failures)
  const failing = status?.halt === 'failed' || status?.state === 'failed'
  if (!failing && reason === undefined) return undefined
  const message = status?.error ?? reason ?? 'The job failed.'
  return { status: 'failed', error: { code: status?.errorCode ?? 'failed', message } }
}

type Finishing = { spec: JobSpec; plan: Plan; dir: string; context: WorkContext }

async function finish(deps: StitchDeps, { spec, plan, dir, context }: Finishing): Promise<Report> {
  const { media, files, sources } = deps
  const { signal } = context
  const clock = stopwatch()

  const { replaced, through } = await checkSegments(media, spec, plan)
  const { errorThreshold } = spec.request
  if (replaced.length + through.length > errorThreshold) {
    const { code, message } = tooManyErrors(replaced.length + through.length, errorThreshold)
    return await failedReport(spec, plan, { status: 'failed', error: { code, message } }, context)
  }
  const segments = plan.batches.map((_, index) => join(dir, basename(layout.segment(spec.id, index))))
  await pMap(segments, (path, index) => media.download(layout.segment(spec.id, index), path, { signal }), {
    concurrency: 8,
  })
  const { sourceQuery, outputQuery } = await files.secret(spec)
  const source = join(dir, 'source')
  await sources.open(spec.source, sourceQuery, source, signal)
  clock.lap('fetch')

  // A preview is a kindness: a job is not failed for it.
  const preview = makePreview(plan, { source, segments, dir, signal }).catch((err: unknown) => {
    context.log.warn({ err }, 'no preview')
    return undefined
  })
  try {
    return await joinAndPublish(
      deps,
      { spec, plan, dir, context },
      { segments, source, outputQuery, replaced, through, preview, clock },
    )
  } finally {
    // It works in a folder that goes when we do.
    await preview
  }
}

type Parts = {
  segments: string[]
  source: string
  outputQuery: string
  /** Frames that carry another frame's picture. */
  replaced: number[]
  /** Frames that the model can't score, and that show the source's picture. */
  through: number[]
  preview: Promise<string | undefined>
  clock: ReturnType<typeof stopwatch>
}

async function joinAndPublish(
  { media, statuses }: StitchDeps,
  { spec, plan, dir, context }: Finishing,
  { segments, source, outputQuery, replaced, through, preview, clock }: Parts,
): Promise<Report> {
  const { signal } = context
  const [path, sizes] = await Promise.all([
    assemble({ plan, segments, source, dir, signal }),
    sizeWarning(segments[0] ?? '', plan),
  ])
  clock.lap('join')
  const warnings = [
    ...plan.warnings,
    ...sizes,
    ...(replaced.length > 0
      ? [
          `${replaced.length} frames can't be decoded and show their nearest good frame (onError ${spec.request.onError})`,
        ]
      : []),
    ...(through.length > 0
      ? [`${through.length} frames can't be scored and show the source's picture (onError passthrough)`]
      : []),
  ]
  // From here on a cancellation comes too late.
  const stopped = await statuses.beginPublishing(spec.id)
  if (stopped === 'cancelled') return await failedReport(spec, plan, { status: 'cancelled' }, context)
  // What was lost may have been a cancellation: the next attempt finds why, or the status made anew by the mark.
  if (stopped)
    throw new TransientError(`The job ${spec.id} can't be published now: its status is ${stopped}.`)
  const output = await publish(media, { spec, plan, path, outputQuery, signal })
  const shown = await uploadPreview(media, spec, await preview, signal)
  if (!shown) warnings.push('no preview could be made')
  clock.lap('publish')
  const counts = { planned: plan.batches.length, failed: 0 }
  return reportOf(spec, {
    status: 'succeeded',
    plan,
    output,
    replaced,
    through,
    warnings,
    batches: counts,
    ms: clock.laps,
  })
}

/** Every batch must have its segment, whole; answers the frames that carry another picture than their scored one. */
async function checkSegments(
  media: BlobStore,
  spec: JobSpec,
  plan: Plan,
): Promise<Pick<SegmentFacts, 'replaced' | 'through'>> {
  const there = new Map<string, SegmentFacts>()
  for await (const { name, metadata } of media.list(layout.segments(spec.id))) {
    there.set(name, readSegmentFacts(metadata))
  }
  const starts = batchStarts(plan.batches)
  const facts = plan.batches.map((count, index) => {
    const segment = there.get(layout.segment(spec.id, index))
    if (segment?.frames === count) return { ...segment, start: starts[index] ?? 0 }
    // Its batch may have been lost: it is put on the queue again while this waits for the next attempt.
    throw new TransientError(`segment ${index} of job ${spec.id} is missing or does not have ${count} frames`)
  })
  const inVideo = (which: 'replaced' | 'through') =>
    facts.flatMap((segment) => segment[which].map((frame) => segment.start + frame))
  return { replaced: inVideo('replaced'), through: inVideo('through') }
}

async function sizeWarning(path: string, { video }: Plan): Promise<string[]> {
  const { streams } = await probeFile(path)
  const { width = 0, height = 0 } = streams.find((stream) => stream.codec_type === 'video') ?? {}
  const rounded = width - video.width === video.width % 2 && height - video.height === video.height % 2
  if (!rounded || (width === video.width && height === video.height)) return []
  return [
    `4:2:0 video has even sides: ${video.width}x${video.height} became ${width}x${height}, its last column or row doubled`,
  ]
}

async function uploadPreview(
  media: BlobStore,
  spec: JobSpec,
  sheet: string | undefined,
  signal: AbortSignal,
): Promise<boolean> {
  if (sheet === undefined) return false
  const options = { contentType: 'image/jpeg', signal }
  return await media.uploadFile(layout.preview(spec.id), sheet, options).then(
    () => true,
    () => false,
  )
}

async function failedReport(spec: JobSpec, plan: Plan | undefined, stopped: Stopped, context: WorkContext) {
  const failed = Object.keys(await context.childFailures()).length
  return reportOf(spec, { ...stopped, plan, batches: { planned: plan?.batches.length ?? 0, failed } })
}

/** The report first: whoever sees the end finds it. */
async function endJob({ files, statuses, incidents }: StitchDeps, ending: Report) {
  const noted = await incidents.of(ending.jobId)
  const report = noted.length > 0 ? { ...ending, incidents: noted } : ending
  await files.writeReport(report)
  await concludeJob({ files, statuses }, report)
  return {}
}
