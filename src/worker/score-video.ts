import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import type { BlobStore } from '../shared/blob-store.ts'
import { LostError, tooManyErrors } from '../shared/errors.ts'
import type { BatchPayload, JobSpec, Plan } from '../shared/job.ts'
import type { JobFiles } from '../shared/job-files.ts'
import type { Device } from '../shared/models/device.ts'
import type { ModelStore } from '../shared/models/model-store.ts'
import { writeSegmentFacts } from '../shared/segment-metadata.ts'
import type { SourceReader } from '../shared/source.ts'
import { ShortDecode, damagedFrames, findUndecodable } from './decode-range.ts'
import { decoderThreads } from './decoder-threads.ts'
import type { EngineRack } from './engine-rack.ts'
import type { ScoreSteps } from './score-batch.ts'
import { scoreFrames, withoutFrames } from './score-frames.ts'
import { productOf } from './video-product.ts'

export type VideoDeps = {
  files: Pick<JobFiles, 'secret'>
  media: BlobStore
  sources: SourceReader
  engines: EngineRack
  models: Pick<ModelStore, 'resolve'>
  /** ffmpeg is ended when it makes no progress for this long. */
  stallMs?: number
}

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

/**
 * Scores a batch of a video and commits what it becomes: a segment, or a part where the model makes no pictures. Throws InputError
 * `damaged-source` where frames can't be decoded and the job does not allow that.
 */
export async function scoreVideo(
  deps: VideoDeps,
  { dir, spec, plan, batch, steps, started, signal, onFrame }: Scoring,
) {
  const began = performance.now()
  const path = join(dir, 'source')
  const { sourceQuery } = await deps.files.secret(spec)
  await deps.sources.open(spec.source, sourceQuery, path, signal)
  const { onScoring, manner } = steps
  const { small = false, trial } = manner
  const { stallMs, media, models } = deps
  const range = trial ?? { first: batch.first, count: batch.count }
  const product = await productOf({
    ...{ media, models, stallMs, dir, spec, plan, range, signal },
    ...{ batch: batch.index, trial: trial !== undefined },
  })
  const fetched = performance.now() - began
  const kept = await product.fromKept()
  if (kept) return await commit({ ...kept, ms: { encodeMs: performance.now() - began - fetched } }, fetched)
  await using mounted = await deps.engines.open(spec, plan.video, { dir, onScoring, small })
  const { engine, size } = mounted
  const fetchMs = performance.now() - began

  let setUpMs: number | undefined
  const score = async (missing: number[], seek: boolean) => {
    await using ring = await engine.openRing(() => {
      setUpMs ??= performance.now() - started
      onScoring()
    })
    const ms = await scoreFrames({
      ...{ path, plan, seek, ring, signal, stallMs, onFrame },
      ranges: withoutFrames(range, missing),
      batch: range,
      picture: size,
      group: engine.group,
      threads: decoderThreads(engine.device, availableParallelism()),
      sink: product.sink(mounted, ring, { replaced: missing, through: manner.through ?? [] }),
      through: new Set(manner.through),
      onDecoded: steps.onDecoded,
    })
    return { ms, replaced: missing }
  }
  const undecodable = async (seek: boolean) =>
    await findUndecodable({ path, plan, range, signal, picture: size, seek, stallMs })
  const scoreAll = async () => {
    // Whatever follows a frame that can't be decoded would be kept by the number of the one before it.
    const missing = product.keepsFrames ? await undecodable(true) : []
    if (missing.length > 0) throw new ShortDecode(String(range.count - missing.length))
    return await score([], true)
  }
  const made = await scoreAll().catch(async (error: unknown) => {
    if (!(error instanceof ShortDecode)) throw error
    // Perhaps seeking went wrong: from the start of the file there is nothing to seek.
    const missing = await undecodable(false)
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
    const { name, contentType } = product
    const first = await media.uploadFile(name, product.path(), {
      contentType,
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
