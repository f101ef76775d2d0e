import { join } from 'node:path'
import type { AcceptedOutputs, Output } from '../shared/accepted-outputs.ts'
import type { BlobStore } from '../shared/blob-store.ts'
import { TransientError, tooManyErrors } from '../shared/errors.ts'
import type { JobSpec, Plan, Report, VideoPlan } from '../shared/job.ts'
import type { JobFiles } from '../shared/job-files.ts'
import type { JobStatuses } from '../shared/job-status.ts'
import { layout } from '../shared/layout.ts'
import { probeFile } from '../shared/media/ffprobe.ts'
import type { SourceReader } from '../shared/source.ts'
import type { WorkContext } from '../shared/workload.ts'
import { assemble } from './assemble.ts'
import { checkSegments, expectRoom } from './check-segments.ts'
import { fetchSegments } from './fetch-segments.ts'
import { uploadPairs } from './pairs.ts'
import { makePreview } from './preview.ts'
import { publish } from './publish.ts'
import { failedReport, reportOf, stopwatch } from './report.ts'

type FinishDeps = {
  files: JobFiles
  outputs: Pick<AcceptedOutputs, 'of'>
  statuses: JobStatuses
  media: BlobStore
  sources: SourceReader
}

type Finishing = { spec: JobSpec; plan: VideoPlan; dir: string; context: WorkContext }

/**
 * Makes the video of a job whose batches are all committed, and publishes it. Answers the report, also of a job that may not
 * succeed after all. Throws TransientError while a segment is missing.
 */
export async function finishVideo(
  deps: FinishDeps,
  { spec, plan, dir, context }: Finishing,
): Promise<Report> {
  const { media, files, outputs, sources } = deps
  const { signal } = context
  const clock = stopwatch()

  const { replaced, through, bytes } = await checkSegments(media, spec, plan)
  const { errorThreshold } = spec.request
  if (replaced.length + through.length > errorThreshold) {
    const { code, message } = tooManyErrors(replaced.length + through.length, errorThreshold)
    return await failedReport(spec, plan, { status: 'failed', error: { code, message } }, context)
  }
  await expectRoom(dir, bytes)
  const segments = await fetchSegments(media, spec.id, { bytes, dir, signal })
  const { sourceQuery, outputQuery } = await files.secret(spec)
  // Not as job.json says: where workers can write, a stolen one could send videos elsewhere. Jobs of an older version have no more.
  const output = (await outputs.of(spec)) ?? { url: spec.request.output.url, query: outputQuery }
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
      { segments, source, output, replaced, through, preview, clock },
    )
  } finally {
    // It works in a folder that goes when we do.
    await preview
  }
}

type Parts = {
  segments: string[]
  source: string
  output: Output
  /** Frames that carry another frame's picture. */
  replaced: number[]
  /** Frames that the model can't score, and that show the source's picture. */
  through: number[]
  preview: Promise<Awaited<ReturnType<typeof makePreview>> | undefined>
  clock: ReturnType<typeof stopwatch>
}

async function joinAndPublish(
  { media, statuses }: FinishDeps,
  { spec, plan, dir, context }: Finishing,
  { segments, source, output, replaced, through, preview, clock }: Parts,
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
  const published = await publish(media, { spec, plan, path, output, signal })
  const shown = await uploadPreview(media, spec, await preview, signal)
  if (!shown) warnings.push('no preview could be made')
  clock.lap('publish')
  const counts = { planned: plan.batches.length, failed: 0 }
  return reportOf(spec, {
    status: 'succeeded',
    plan,
    output: published,
    replaced,
    through,
    warnings,
    batches: counts,
    ms: clock.laps,
  })
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
  preview: Awaited<ReturnType<typeof makePreview>> | undefined,
  signal: AbortSignal,
): Promise<boolean> {
  if (preview === undefined) return false
  const options = { contentType: 'image/jpeg', signal }
  return await Promise.all([
    media.uploadFile(layout.preview(spec.id), preview.sheet, options),
    uploadPairs(media, spec.id, preview.shown, signal),
  ]).then(
    () => true,
    () => false,
  )
}
