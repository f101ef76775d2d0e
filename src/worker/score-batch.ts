import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import type { BlobStore } from '../shared/blob-store.ts'
import { CancelledError, LostError, tooManyErrors } from '../shared/errors.ts'
import { batchStarts, timesOf } from '../shared/frame-times.ts'
import type { BatchPayload, BatchResult, JobSpec, Plan } from '../shared/job.ts'
import type { JobFiles } from '../shared/job-files.ts'
import type { JobStatuses } from '../shared/job-status.ts'
import { resizeRgb } from '../shared/image.ts'
import type { Device } from '../shared/models/device.ts'
import { fitFrames, frameThrough, type Size } from '../shared/models/fit.ts'
import type { ModelStore } from '../shared/models/model-store.ts'
import { haltSignal } from '../shared/halt-signal.ts'
import { layout } from '../shared/layout.ts'
import type { Scratch } from '../shared/scratch.ts'
import { writeSegmentFacts } from '../shared/segment-metadata.ts'
import type { SourceReader } from '../shared/source.ts'
import type { Logger } from '../shared/log.ts'
import { isItemsPlan } from '../shared/items/items-plan.ts'
import { committedBatch, removeCommitted } from './committed-batch.ts'
import { type ItemsDeps, scoreItems } from './items/score-items.ts'
import { ShortDecode, damagedFrames, findUndecodable } from './decode-range.ts'
import { decoderThreads } from './decoder-threads.ts'
import { encodeSegment } from './encode-segment.ts'
import type { Manner } from './engine-protocol.ts'
import type { EngineRack } from './engine-rack.ts'
import { areKept, encodeImages, keepAsImages } from './frame-images.ts'
import { scoreFrames, withoutFrames } from './score-frames.ts'

export type ScoreDeps = {
  files: JobFiles
  statuses: JobStatuses
  media: BlobStore
  sources: SourceReader
  scratch: Scratch
  engines: EngineRack
  models: Pick<ModelStore, 'resolve'>
  scorers: ItemsDeps['scorers']
  /** ffmpeg is ended when it makes no progress for this long. */
  stallMs?: number
}

/**
 * Scores one batch. Of a video: fetches the source (once for each machine), decodes the batch's frames, runs the model, encodes
 * and commits one segment.
 *
 *   waiting ──claim──► fetching ──► scoring ──► committing ──► done
 *      ▲                  │            │            │
 *      │   told to leave  │            │            └─ past the point of no return: it finishes
 *      └────given back◄───┴────────────┘
 *
 * Once the last frame is decoded the next batch may begin: its frames fill the gaps that this one leaves at the model.
 *
 * Safe to run twice, and by two at once, as a slow batch and its copy are: the segment's name depends on the plan alone, and
 * the first commit wins. Whoever comes second hears of it with the next report of progress, and ends there.
 */
export function createScorer(deps: ScoreDeps) {
  const { files, statuses, media } = deps
  return async (entry: BatchPayload, steps: ScoreSteps): Promise<BatchResult> => {
    const { jobId, index } = entry
    const started = performance.now()
    const { trial } = steps.manner
    const isCopy = entry.copyOf !== undefined
    // Nobody waits for a copy: its job may have ended long ago.
    const useless = isCopy ? await statuses.progress(jobId, index) : await statuses.halted(jobId)
    if (useless && useless !== 'committed') return { ...nothing, skipped: 'halted' }
    const [spec, plan] = await Promise.all([files.spec(jobId), files.plan(jobId)])
    const count = plan.batches[index]
    // The plan is law: anybody can write on a queue.
    if (count === undefined) {
      steps.log.warn({ batches: plan.batches.length }, 'the plan has no such batch')
      return { ...nothing, skipped: 'unplanned' }
    }
    const batch = { jobId, index, first: batchStarts(plan.batches)[index] ?? 0, count }
    const there = (steps.manner.again || isCopy) && !trial ? await committedBatch(media, batch) : undefined
    if (there) {
      await statuses.commit(jobId, index, count)
      return there
    }
    let framesDone = 0
    let elsewhere: BatchResult | undefined
    const stop = haltSignal(steps.signal, async () => {
      if (trial) return await statuses.halted(jobId)
      // Of two at once, the first shows how far it is.
      const word = await statuses.progress(jobId, index, isCopy ? undefined : framesDone)
      if (word !== 'committed') return word
      // A segment that was lost since is to be made again, whatever Redis says.
      elsewhere = await committedBatch(media, batch)
      return elsewhere && word
    })
    try {
      const { ms, first, ...made } = await within(spec, stop.signal, async (signal) => {
        const onFrame = (done: number) => (framesDone = done)
        return await deps.scratch.within('batch', async (dir) =>
          isItemsPlan(plan)
            ? await scoreItems(deps, {
                ...{ dir, spec, plan, batch, signal, manner: steps.manner, log: steps.log },
                ...{ onScoring: steps.onScoring, onItem: onFrame },
              })
            : await scoreInto(deps, { dir, spec, plan, batch, steps, started, signal, onFrame }),
        )
      })
      // No progress may be reported any more: it would be counted beside the committed frames.
      stop.close()
      const outcome = trial ? undefined : await statuses.commit(jobId, index, count)
      // Nobody will join it any more: the end has cleared up before this segment came.
      if (outcome === 'ended') await removeCommitted(media, batch, isItemsPlan(plan))
      if (!first) return (await committedBatch(media, batch)) ?? { ...nothing, skipped: 'committed' }
      const totalMs = performance.now() - started
      return { frames: trial?.count ?? count, ...made, ms: rounded({ ...ms, totalMs }) }
    } catch (error) {
      stop.close()
      if (!isCopy) await statuses.release(jobId, index)
      if (error instanceof CancelledError) return elsewhere ?? { ...nothing, skipped: 'halted' }
      throw error
    }
  }
}

/** Ends a try that takes longer than the job allows; it is tried again. */
async function within<T>(
  { request }: JobSpec,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const { timeoutSeconds } = request.batch
  if (timeoutSeconds === undefined) return await work(signal)
  const limit = AbortSignal.timeout(timeoutSeconds * 1_000)
  return await work(AbortSignal.any([signal, limit])).catch((error: unknown) => {
    if (signal.aborted || !limit.aborted) throw error
    throw new Error(`the batch took longer than its ${timeoutSeconds} s (batch.timeoutSeconds)`)
  })
}

/** How the work is told to stop, and whom it tells how far it is. */
export type ScoreSteps = {
  signal: AbortSignal
  log: Logger
  manner: Manner
  /** Its frames, or its model, are about to reach the runtime: what can kill a process. */
  onScoring(): void
  onDecoded(): void
}

const nothing = { frames: 0, replaced: [], through: [], ms: {} } satisfies BatchResult

type Scoring = {
  dir: string
  spec: JobSpec
  plan: Plan
  batch: BatchPayload
  steps: ScoreSteps
  /** When the batch was taken up. */
  started: number
  signal: AbortSignal
  onFrame(done: number): void
}

async function scoreInto(
  deps: ScoreDeps,
  { dir, spec, plan, batch, steps, started, signal, onFrame }: Scoring,
) {
  const began = performance.now()
  const path = join(dir, 'source')
  const { sourceQuery } = await deps.files.secret(spec)
  await deps.sources.open(spec.source, sourceQuery, path, signal)
  const { onScoring, manner } = steps
  const { small = false, trial } = manner
  const range = trial ?? { first: batch.first, count: batch.count }
  const segment = join(dir, 'segment.mp4')
  const { stallMs } = deps
  const times = timesOf(plan.times, range.first, range.count)
  const encode = (scored: Size, picture: Size) =>
    encodeSegment({ plan, signal, stallMs, picture, path: segment, scored, times })
  // The segment is made of the images, whoever wrote them: so it shows what somebody has edited since.
  const images =
    spec.request.intermediate === 'frames' && !trial
      ? { media: deps.media, jobId: spec.id, range, signal }
      : undefined
  const fetched = performance.now() - began
  if (images && (await areKept(images))) {
    const { scored, picture } = await sizesOf(deps, spec, plan)
    await encodeImages(images, scored, encode(scored, picture))
    return await commit({ replaced: [], ms: { encodeMs: performance.now() - began - fetched } }, fetched)
  }
  await using mounted = await deps.engines.open(spec, plan.video, { dir, onScoring, small })
  const { engine, picture, size } = mounted
  const fetchMs = performance.now() - began

  let setUpMs: number | undefined
  const score = async (missing: number[], seek: boolean) => {
    await using ring = await engine.openRing(() => {
      setUpMs ??= performance.now() - started
      onScoring()
    })
    const encoder = images ? keepAsImages(images, engine.output) : encode(engine.output, picture)
    const ranges = withoutFrames(range, missing)
    const ms = await scoreFrames({
      path,
      plan,
      seek,
      ranges,
      batch: range,
      picture: size,
      ring,
      group: engine.group,
      threads: decoderThreads(engine.device, availableParallelism()),
      encoder,
      stallMs: deps.stallMs,
      through: new Set(manner.through),
      unscored: async (pixels) => await resizeRgb(pixels, size, engine.output),
      signal,
      onFrame,
      onDecoded: steps.onDecoded,
    })
    if (!images) return { ms, replaced: missing }
    const since = performance.now()
    await encodeImages(images, engine.output, encode(engine.output, picture))
    return { ms: { ...ms, encodeMs: ms.encodeMs + performance.now() - since }, replaced: missing }
  }
  const made = await score([], true).catch(async (error: unknown) => {
    if (!(error instanceof ShortDecode)) throw error
    // Perhaps seeking went wrong: from the start of the file there is nothing to seek.
    const missing = await findUndecodable({
      ...{ path, plan, range, signal, picture: size, seek: false },
      stallMs: deps.stallMs,
    })
    steps.log.warn(
      { missing: missing.length, err: error.message },
      'decoding again from the start of the source',
    )
    // Whether a frame can be decoded is not what a trial asks.
    if (trial && missing.length >= range.count)
      return { ms: { decodeMs: 0, inferMs: 0, encodeMs: 0 }, replaced: missing }
    if (trial) return await score(missing, false)
    const { onError, errorThreshold } = spec.request
    if (missing.length > 0 && onError === 'fail') throw damagedFrames(plan, missing)
    if (missing.length > errorThreshold) throw tooManyErrors(missing.length, errorThreshold)
    // A batch without a single good frame has none to repeat.
    if (missing.length >= range.count) throw damagedFrames(plan, missing)
    return await score(missing, false)
  })

  const through = manner.through ?? []
  const { device } = engine
  if (trial) return { first: true, replaced: made.replaced, through, device, ms: { fetchMs, ...made.ms } }
  return await commit({ ...made, through, device, setUpMs }, fetchMs)

  async function commit({ replaced, through = [], device, ms, setUpMs = 0 }: Made, fetchMs: number) {
    if (steps.signal.aborted) throw new LostError('told to leave')
    const uploading = performance.now()
    const first = await deps.media.uploadFile(layout.segment(spec.id, batch.index), segment, {
      contentType: 'video/mp4',
      metadata: writeSegmentFacts({
        frames: batch.count,
        replaced: replaced.map((frame) => frame - batch.first),
        through: through.map((frame) => frame - batch.first),
      }),
      ifAbsent: true,
    })
    const { model } = spec
    return {
      /** Whether nobody had committed it before. */
      ...{ first, replaced, through, device },
      // What was not scored says nothing about how fast that is.
      ...(device ? { model: `${model.name}@${model.version}` } : {}),
      ...(device ? { size: `${plan.video.width}x${plan.video.height}` } : {}),
      ms: { fetchMs, setUpMs, ...ms, uploadMs: performance.now() - uploading },
    }
  }
}

type Made = {
  replaced: number[]
  through?: number[]
  device?: Device
  ms: Record<string, number>
  setUpMs?: number | undefined
}

/** What a model makes of a video's frames, and what is kept of that. */
async function sizesOf({ models }: ScoreDeps, { model }: JobSpec, { video }: Plan) {
  const manifest = await models.resolve(`${model.name}@${model.version}`)
  const { frame, picture } = fitFrames(manifest, video)
  return { scored: frameThrough(manifest, frame).output, picture }
}

function rounded(ms: Record<string, number>): Record<string, number> {
  return Object.fromEntries(
    Object.entries(ms).map(([phase, value]) => [phase.replace(/Ms$/, ''), Math.round(value)]),
  )
}
