import { statfs } from 'node:fs/promises'
import type { BlobStore } from '../shared/blob-store.ts'
import { InputError, TransientError } from '../shared/errors.ts'
import { batchStarts } from '../shared/frame-times.ts'
import type { JobSpec, Plan } from '../shared/job.ts'
import { layout } from '../shared/layout.ts'
import { type SegmentFacts, readSegmentFacts } from '../shared/segment-metadata.ts'

type Checked = Pick<SegmentFacts, 'replaced' | 'through'> & {
  /** Of each segment, as it was listed. */
  bytes: number[]
}

/**
 * Every batch must have its segment, whole; answers the frames that carry another picture than their scored one. Workers write
 * segments, and one may have been taken over: throws InputError `bad-segment` for one that can't be what it should be.
 */
export async function checkSegments(media: BlobStore, spec: JobSpec, plan: Plan): Promise<Checked> {
  const wanted = new Map(plan.batches.map((_, index) => [layout.segment(spec.id, index), index]))
  const there: ({ bytes: number } & SegmentFacts)[] = []
  for await (const { name, bytes, metadata } of media.list(layout.segments(spec.id))) {
    const index = wanted.get(name)
    const facts = index === undefined ? undefined : readSegmentFacts(metadata, plan.batches[index] ?? 0)
    if (index === undefined || !facts) continue
    const most = mostBytes(plan, facts.frames)
    if (bytes > most) {
      throw new InputError(
        'bad-segment',
        `Segment ${index} of job ${spec.id} has ${bytes} bytes; ${facts.frames} frames have ${most} at most.`,
      )
    }
    there[index] = { ...facts, bytes }
  }
  const starts = batchStarts(plan.batches)
  const facts = plan.batches.map((count, index) => {
    const segment = there[index]
    if (segment) return { ...segment, start: starts[index] ?? 0 }
    // Its batch may have been lost: it is put on the queue again while this waits for the next attempt.
    throw new TransientError(`segment ${index} of job ${spec.id} is missing or does not have ${count} frames`)
  })
  const inVideo = (which: 'replaced' | 'through') =>
    facts.flatMap((segment) => segment[which].map((frame) => segment.start + frame))
  return {
    replaced: inVideo('replaced'),
    through: inVideo('through'),
    bytes: facts.map(({ bytes }) => bytes),
  }
}

/** Unpacked, a pixel of 4:2:0 video has one and a half; a model may make the picture six times as wide. */
const bytesPerPixel = 64
/** What a frame takes in an index, however small it is, with room. */
const bytesPerFrame = 64 << 10
const bytesPerFile = 1 << 20

const mostBytes = ({ video: { width, height } }: Plan, frames: number): number =>
  frames * (width * height * bytesPerPixel + bytesPerFrame) + bytesPerFile

/** Throws TransientError where the disk of `dir` has no room for segments or parts and the output that they become. */
export async function expectRoom(dir: string, bytes: number[]): Promise<void> {
  const { bavail, bsize } = await statfs(dir)
  const [needed, free] = [2 * bytes.reduce((sum, each) => sum + each, 0), bavail * bsize]
  if (needed <= free) return
  const [want, have] = [needed, free].map((size) => (size / 1e9).toFixed(2))
  throw new TransientError(
    `What workers made, and the output of it, need ${want} GB on the disk of ${dir}, where ${have} are free. Give it a larger disk, or set FRAMEFLEET_SCRATCH_DIR to one.`,
  )
}
