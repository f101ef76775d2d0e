import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import type { BlobStore } from '../shared/blob-store.ts'
import { InputError, tooManyErrors } from '../shared/errors.ts'
import { timesOf } from '../shared/frame-times.ts'
import { type JobSpec, type Plan, type VideoPlan, makesVideo } from '../shared/job.ts'
import { layout } from '../shared/layout.ts'
import type { Range } from '../shared/media/frame-range.ts'
import { type Size, fitFrames, frameThrough } from '../shared/models/fit.ts'
import type { ModelStore } from '../shared/models/model-store.ts'
import { type SegmentEncoder, encodeSegment } from './encode-segment.ts'
import type { Engine, Ring } from './engine.ts'
import { type Unscored, encodeImages, keepAsImages, keptFrames } from './frame-images.ts'
import { scoresOfFrames } from './frame-scores.ts'
import { namedValues } from './items/named-values.ts'
import { pictureSink } from './picture-sink.ts'
import type { FrameSink } from './score-frames.ts'

/** The file that a batch of a video becomes, and the name it is committed under. */
export type Product = {
  path(): string
  name: string
  contentType: string
  /** Whether each frame is kept by its number as it is scored, and stays as it is. */
  keepsFrames: boolean
  /** Makes it of what was kept of an earlier time, and says what was known of that; undefined where it is not all there. */
  fromKept(): Promise<Unscored | undefined>
  /** Makes it of frames as they are scored; asked again it begins anew. */
  sink(mounted: Mounted, ring: Ring, unscored: Unscored): FrameSink
}

/** `size`: of frames as they are decoded. `picture`: of what they become. */
type Mounted = { engine: Engine; size: Size; picture: Size }

type Making = {
  media: BlobStore
  models: Pick<ModelStore, 'resolve'>
  stallMs?: number | undefined
  dir: string
  spec: JobSpec
  plan: Plan
  batch: number
  range: Range
  /** Only to see whether the frames can be scored: nothing is kept. */
  trial: boolean
  signal: AbortSignal
}

export async function productOf({ plan, ...making }: Making): Promise<Product> {
  return makesVideo(plan) ? segmentOf({ ...making, plan }) : await partOf({ ...making, plan })
}

function segmentOf(making: Making & { plan: VideoPlan }): Product {
  const { media, spec, plan, batch, range, trial, signal, stallMs } = making
  const path = join(making.dir, 'segment.mp4')
  const times = timesOf(plan.times, range.first, range.count)
  const encode = (scored: Size, picture: Size) =>
    encodeSegment({ plan, signal, stallMs, picture, path, scored, times })
  // The segment is made of the images, whoever wrote them: so it shows what somebody has edited since.
  const images =
    spec.request.intermediate === 'frames' && !trial ? { media, jobId: spec.id, range, signal } : undefined
  return {
    ...{ name: layout.segment(spec.id, batch), contentType: 'video/mp4' },
    path: () => path,
    keepsFrames: images !== undefined,
    async fromKept() {
      const kept = images && (await keptFrames(images))
      if (!kept) return undefined
      const { scored, picture } = await sizesOf(making)
      await encodeImages(images, scored, encode(scored, picture))
      return kept
    },
    sink({ engine, size, picture }, ring, unscored) {
      const toSegment = () => encode(engine.output, picture)
      const encoder: SegmentEncoder = images
        ? thenEncoded(keepAsImages(images, engine.output, unscored), async () => {
            await encodeImages(images, engine.output, toSegment())
          })
        : toSegment()
      return pictureSink({ engine, ring, encoder, decoded: size })
    },
  }
}

const thenEncoded = (keeper: SegmentEncoder, encode: () => Promise<void>): SegmentEncoder => ({
  ...keeper,
  async finish() {
    await keeper.finish()
    await encode()
  },
})

/** What a model makes of a video's frames, and what is kept of that. */
async function sizesOf({ models, spec: { model }, plan: { video } }: Making) {
  const manifest = await models.resolve(`${model.name}@${model.version}`)
  const { frame, picture } = fitFrames(manifest, video)
  return { scored: frameThrough(manifest, frame).output, picture }
}

async function partOf({ models, dir, spec, plan, batch, range, trial }: Making): Promise<Product> {
  const { name, version } = spec.model
  const { scores, ...manifest } = await models.resolve(`${name}@${version}`)
  if (!scores) throw new InputError('model-refuses', `The model ${name} makes images, and no scores.`)
  const times = timesOf(plan.times, range.first, range.count)
  let path = ''
  return {
    ...{ name: layout.part(spec.id, batch), contentType: 'application/x-ndjson' },
    path: () => path,
    keepsFrames: false,
    fromKept: async () => await Promise.resolve(undefined),
    sink({ engine, size }, ring) {
      // Of one that broke off, a last write may still be on its way.
      path = join(dir, `part-${randomUUID()}.ndjson`)
      return scoresOfFrames({
        ...{ plan, engine, ring, range, times, path, decoded: size },
        manifest: { ...manifest, scores },
        wish: spec.request.output.scores ?? {},
        named: namedValues(spec, name),
        // What is only tried may be a black frame, of which it needn't know any.
        onNoNumber: trial ? () => {} : forgiving(spec),
      })
    },
  }
}

/** Counts frames without a number. Throws InputError `no-number` or `too-many-errors` where the job does not let them through. */
function forgiving({ request: { onError, errorThreshold } }: JobSpec) {
  let count = 0
  return (frame: number): void => {
    count += 1
    if (onError === 'fail')
      throw new InputError(
        'no-number',
        `What the model gives for frame ${frame} is no finite number (NaN or Infinity). With onError "passthrough" the frame would go unscored.`,
      )
    if (count > errorThreshold) throw tooManyErrors(count, errorThreshold)
  }
}
