import { join } from 'node:path'
import type { Redis } from 'ioredis'
import { chooseEncoding, keepsAudio, keepsSubtitles } from '../shared/encoding.ts'
import { CancelledError, InputError } from '../shared/errors.ts'
import type { BlobStore } from '../shared/blob-store.ts'
import type { JobPlan, JobSpec, Plan, SourceRef, VideoPlan } from '../shared/job.ts'
import type { JobFiles } from '../shared/job-files.ts'
import { sizeOfRows } from '../shared/items/items-plan.ts'
import { haltSignal } from '../shared/halt-signal.ts'
import type { JobStatuses } from '../shared/job-status.ts'
import { layout } from '../shared/layout.ts'
import type { ModelStore } from '../shared/models/model-store.ts'
import { prepareStyle } from '../shared/models/style-image.ts'
import type { Scratch } from '../shared/scratch.ts'
import type { SourceReader } from '../shared/source.ts'
import type { Workload } from '../shared/workload.ts'
import type { FairOrder } from './fair-queue.ts'
import { type FlowQueues, addBatches } from './flow.ts'
import type { IndexedSource } from './index-source.ts'
import { type SourceDeps, openItemSource } from './items/open-source.ts'
import { planItems } from './items/plan-items.ts'
import { planBatches } from './plan-batches.ts'
import { type PaceWish, cuttingPace, paceFor } from './plan-pace.ts'

type SplitDeps = {
  files: JobFiles
  media: BlobStore
  models: ModelStore
  statuses: JobStatuses
  sources: SourceReader
  scratch: Scratch
  policy: SourceDeps['policy']
  maxSourceBytes: number
  index(path: string, signal: AbortSignal): Promise<IndexedSource>
  redis: Redis
  queues: FlowQueues
  order: FairOrder
  /** What videos are cut for: how many workers, and how fast they are. */
  cut: { workers: number; pace: PaceWish }
}

/**
 * Plans a job: probes its source, indexes the frames, writes the plan and puts the batches on their queue as children
 * of the job's stitch entry. Safe to run twice, also when it died half-way or Redis was wiped: the first plan written
 * stays, batches have ids that depend on the plan alone, and those that are committed are only counted.
 */
export function splitWorkload(deps: SplitDeps): Workload<'split'> {
  const { files, statuses } = deps
  return {
    queue: 'split',
    async process({ jobId }, { signal, log }) {
      if (await statuses.halted(jobId)) return {}
      const stop = haltSignal(signal, () => statuses.halted(jobId))
      try {
        await statuses.advance(jobId, 'splitting')
        const spec = await files.spec(jobId)
        if (spec.style) await keepStyle(deps, spec, spec.style, stop.signal)
        const known = await files.findPlan(jobId)
        const plan = known ?? (await files.keepPlan(await planJob(deps, spec, stop.signal)))
        const committed = async () => (known ? await files.committed(jobId) : new Map<number, number>())
        // The state moves on first: a batch may be done before the last one is on the queue.
        await statuses.beginScoring(jobId, plan, await committed())
        await addBatches(deps, spec, plan, { committed, signal: stop.signal })
        log.info(
          {
            ...{ frames: plan.frames, batches: plan.batches.length, resumed: known !== undefined },
            ...('encoding' in plan ? { encoding: plan.encoding } : {}),
          },
          'planned',
        )
      } catch (error) {
        // A job that was halted meanwhile needs no plan: its stitch ends it.
        if (!(error instanceof CancelledError)) throw error
      } finally {
        stop.close()
      }
      return {}
    },
    async onTerminalFailure({ jobId }, error) {
      const code = error instanceof InputError ? error.code : 'split-failed'
      await statuses.halt(jobId, 'failed', { code, message: error.message })
    },
  }
}

async function planJob(deps: SplitDeps, spec: JobSpec, signal: AbortSignal): Promise<JobPlan> {
  if (spec.request.source.url !== undefined) return await makePlan(deps, spec, signal)
  const { files, scratch, media } = deps
  return await scratch.within('split', async (dir) => {
    const secret = await files.secret(spec)
    const source = await openItemSource(deps, { spec, secret, dir, signal })
    const { batch, source: from } = spec.request
    const size = batch.items ?? (from.table ? rowsTogether : imagesTogether)
    const plan = await planItems(media, source, { jobId: spec.id, size, dir, models: spec.models, signal })
    return from.table ? { ...plan, size: sizeOfRows(from.table.features.length) } : plan
  })
}

/** Items of a batch that asks for no number: some seconds' work. */
const imagesTogether = 50
const rowsTogether = 10_000

async function makePlan(
  { files, sources, scratch, index, order, cut }: SplitDeps,
  spec: JobSpec,
  signal: AbortSignal,
): Promise<Plan> {
  return await scratch.within('split', async (dir) => {
    const path = join(dir, 'source')
    const { sourceQuery } = await files.secret(spec)
    await sources.open(spec.source, sourceQuery, path, signal)
    const { facts, times, frames, keyframes, warnings } = await index(path, signal)
    const { output, batch } = spec.request
    const encoding = output.scores
      ? undefined
      : chooseEncoding(output, {
          format: facts.format,
          videoCodec: facts.video.codec,
          audioCodecs: facts.audio.map((stream) => stream.codec),
        })
    const { format, startSeconds, audio, subtitles, video } = facts
    const { name, version } = spec.model
    const work = { model: `${name}@${version}`, size: `${video.width}x${video.height}` }
    const pace = paceFor(work, { ...cut, wish: cut.pace, reckoning: await order.reckonLately() })
    return {
      ...{ v: 1, jobId: spec.id, format, startSeconds, audio, subtitles },
      video: { ...video, variable: times.runs.length > 2 },
      ...{ times, keyframes, frames },
      batches: planBatches(frames, keyframes, {
        asked: batch.frames,
        ...cuttingPace(pace),
      }),
      ...(batch.frames === undefined ? { pace } : {}),
      encoding,
      warnings: [
        ...facts.warnings,
        ...warnings,
        ...(encoding ? whatIsNotCopied(facts, encoding.container) : []),
      ],
    }
  })
}

/** Keeps the style image with the job, as the model takes it: workers need neither its SAS nor its host. */
async function keepStyle(
  { files, media, models, sources, scratch }: SplitDeps,
  spec: JobSpec,
  style: SourceRef,
  signal: AbortSignal,
): Promise<void> {
  if (await media.head(layout.style(spec.id))) return
  const manifest = await models.resolve(`${spec.model.name}@${spec.model.version}`)
  if (!manifest.style) throw new InputError('no-style', `The model ${spec.model.name} takes no style image.`)
  const { style: wanted } = manifest
  await scratch.within('style', async (dir) => {
    const path = join(dir, 'style')
    const { styleQuery } = await files.secret(spec)
    await sources.open(style, styleQuery, path, signal)
    await media.write(layout.style(spec.id), await prepareStyle(path, wanted, style.url))
  })
}

function whatIsNotCopied(
  { audio, subtitles }: Pick<Plan, 'audio' | 'subtitles'>,
  container: VideoPlan['encoding']['container'],
) {
  return [
    ...audio
      .filter(({ codec }) => !keepsAudio(container, codec))
      .map(({ codec }) => `${container} does not hold ${codec} sound: it is encoded anew`),
    ...subtitles
      .filter(({ codec }) => !keepsSubtitles(container, codec))
      .map(({ codec }) => `${container} does not hold ${codec} subtitles: they are left out`),
  ]
}
