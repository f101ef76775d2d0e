import { join } from 'node:path'
import type { FlowProducer, Queue } from 'bullmq'
import type { Redis } from 'ioredis'
import { chooseEncoding, keepsAudio, keepsSubtitles } from '../shared/encoding.ts'
import { CancelledError, InputError } from '../shared/errors.ts'
import { batchStarts, packTimes } from '../shared/frame-times.ts'
import type { BlobStore } from '../shared/blob-store.ts'
import type { BatchPayload, JobSpec, Plan, SourceRef } from '../shared/job.ts'
import type { JobFiles } from '../shared/job-files.ts'
import { haltSignal } from '../shared/halt-signal.ts'
import type { JobStatuses } from '../shared/job-status.ts'
import { entryIds, entryOptions } from '../shared/queues.ts'
import { layout } from '../shared/layout.ts'
import type { ModelStore } from '../shared/models/model-store.ts'
import { prepareStyle } from '../shared/models/style-image.ts'
import type { Scratch } from '../shared/scratch.ts'
import type { SourceReader } from '../shared/source.ts'
import type { Workload } from '../shared/workload.ts'
import { indexFrames } from './frame-index.ts'
import { planBatches } from './plan-batches.ts'
import { probeSource } from './probe.ts'

type SplitDeps = {
  files: JobFiles
  media: BlobStore
  models: ModelStore
  statuses: JobStatuses
  sources: SourceReader
  scratch: Scratch
  redis: Redis
  batchQueue: Queue
  /** BullMQ's full name of the stitch queue: the parent of every batch. */
  stitchQueueKey: string
  /** How many workers videos are cut for. */
  workers: number
}

const chunk = 500

/**
 * Plans a job: probes its source, indexes the frames, writes the plan and puts the batches on their queue as children
 * of the job's stitch entry. Safe to run twice, also when it died half-way: the first plan written stays, and batches
 * have ids that depend on the plan alone.
 */
export function splitWorkload(deps: SplitDeps): Workload<'split'> {
  const { files, statuses } = deps
  return {
    queue: 'split',
    async process({ jobId }, { signal, log, again }) {
      if (await statuses.halted(jobId)) return {}
      const stop = haltSignal(signal, () => statuses.halted(jobId))
      try {
        await statuses.advance(jobId, 'splitting')
        const spec = await files.spec(jobId)
        if (spec.style) await keepStyle(deps, spec, spec.style, stop.signal)
        const plan =
          (again ? await files.findPlan(jobId) : undefined) ??
          (await files.keepPlan(await makePlan(deps, spec, stop.signal)))
        // The state moves on first: a batch may be done before the last one is on the queue.
        await statuses.advance(jobId, 'scoring', {
          framesTotal: plan.frames,
          batchesTotal: plan.batches.length,
          scoringAt: Date.now(),
        })
        await addBatches(deps, spec, plan, stop.signal)
        log.info({ frames: plan.frames, batches: plan.batches.length, encoding: plan.encoding }, 'planned')
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

async function makePlan(
  { files, sources, scratch, workers }: SplitDeps,
  spec: JobSpec,
  signal: AbortSignal,
): Promise<Plan> {
  return await scratch.within('split', async (dir) => {
    const path = join(dir, 'source')
    const { sourceQuery } = await files.secret(spec)
    await sources.open(spec.source, sourceQuery, path, signal)
    const facts = await probeSource(path, signal)
    const index = await indexFrames(path, facts, signal)
    const { output, batch } = spec.request
    const encoding = chooseEncoding(output, {
      format: facts.format,
      videoCodec: facts.video.codec,
      audioCodecs: facts.audio.map((stream) => stream.codec),
    })
    const times = packTimes(index.times)
    const { format, startSeconds, audio, subtitles, video } = facts
    return {
      ...{ v: 1, jobId: spec.id, format, startSeconds, audio, subtitles },
      video: { ...video, variable: times.runs.length > 2 },
      times,
      keyframes: index.keyframes,
      frames: index.times.length,
      batches: planBatches(index.times.length, index.keyframes, { asked: batch.frames, workers }),
      encoding,
      warnings: [...facts.warnings, ...index.warnings, ...whatIsNotCopied(facts, encoding.container)],
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
  container: Plan['encoding']['container'],
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

/**
 * Puts the batches on their queue, those that are not on it yet. BullMQ would take an id that is there already, too,
 * but for one that has failed meanwhile it would make the parent wait for a child that never ends again.
 */
async function addBatches(
  { redis, batchQueue, stitchQueueKey }: SplitDeps,
  spec: JobSpec,
  plan: Plan,
  signal: AbortSignal,
): Promise<void> {
  const starts = batchStarts(plan.batches)
  for (let from = 0; from < plan.batches.length; from += chunk) {
    const entries = plan.batches.slice(from, from + chunk).map((count, i) => {
      const index = from + i
      const data: BatchPayload = { jobId: spec.id, index, first: starts[index] as number, count }
      return {
        name: 'batch',
        data,
        opts: {
          ...entryOptions('batch', { isChild: true }),
          jobId: entryIds.batch(spec.id, index),
          parent: { id: entryIds.stitch(spec.id), queue: stitchQueueKey },
          priority: 11 - spec.request.priority,
        },
      }
    })
    const there = await Promise.all(
      entries.map(async ({ opts }) => await redis.exists(batchQueue.toKey(opts.jobId))),
    )
    // Whoever lost the lease must not add batches beside the one who has it now.
    signal.throwIfAborted()
    const added = await batchQueue.addBulk(entries.filter((_, i) => !there[i]))
    // A missing parent is answered by a negative id, not by an error.
    const refused = added.find((entry) => !(entry.id ?? '').startsWith(spec.id))
    if (refused)
      throw new Error(
        `the stitch entry of job ${spec.id} is gone (${refused.id}); its batches can't be added`,
      )
  }
}

/** Puts a job on the queues: one flow, the stitch as parent and the split as its first child. */
export async function addFlow(flows: FlowProducer, spec: JobSpec): Promise<void> {
  const data = { jobId: spec.id }
  await flows.add({
    name: 'stitch',
    queueName: 'stitch',
    data,
    opts: { ...entryOptions('stitch', { isChild: false }), jobId: entryIds.stitch(spec.id) },
    children: [
      {
        name: 'split',
        queueName: 'split',
        data,
        opts: {
          ...entryOptions('split', { isChild: true }),
          jobId: entryIds.split(spec.id),
          priority: 11 - spec.request.priority,
        },
      },
    ],
  })
}
