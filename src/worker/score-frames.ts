import type { Plan } from '../shared/job.ts'
import type { Range } from '../shared/media/frame-range.ts'
import { type Picture, decodeRange } from './decode-range.ts'
import type { SegmentEncoder } from './encode-segment.ts'
import type { Engine } from './engine.ts'
import { createLane } from './frame-ring.ts'

type ScoreJob = {
  path: string
  plan: Plan
  /** Stretches of the batch that can be decoded; between them lie frames that can't. */
  ranges: Range[]
  batch: Range
  picture: Picture
  /** False: decode from the start of the file. */
  seek: boolean
  engine: Engine
  encoder: SegmentEncoder
  signal: AbortSignal
  onFrame(done: number): void
}

export type PhaseTimes = { decodeMs: number; inferMs: number; encodeMs: number }

/**
 * Decodes, scores and encodes a batch, all three at once over the engine's ring of frames:
 *
 *   free ─► decode ─► ready ─► model ─► scored ─► encode ─► free
 *
 * A frame that can't be decoded repeats the scored picture of the nearest one before it in the batch, or after it at
 * the batch's start. Milliseconds are those each stage was at work, not waiting for the others.
 */
export async function scoreFrames(job: ScoreJob): Promise<PhaseTimes> {
  const { engine, encoder, batch, ranges } = job
  const free = createLane(engine.slots.map((_, slot) => slot))
  const ready = createLane()
  const scored = createLane()
  const ms: PhaseTimes = { decodeMs: 0, inferMs: 0, encodeMs: 0 }
  const writes = planWrites(batch, ranges)

  async function decode() {
    for (const range of ranges) {
      let slot: number | undefined
      let since = performance.now()
      const take = async () => {
        ms.decodeMs += performance.now() - since
        slot = await free.next()
        since = performance.now()
        return engine.slots[slot as number]?.input as Uint8Array
      }
      await decodeRange({ ...job, range }, take, () => ready.push(slot as number))
      ms.decodeMs += performance.now() - since
    }
    ready.close()
  }

  async function infer() {
    for (let slot = await ready.next(); slot !== undefined; slot = await ready.next()) {
      ms.inferMs += await engine.run(slot)
      scored.push(slot)
    }
    scored.close()
  }

  async function encode() {
    let done = 0
    for (let slot = await scored.next(); slot !== undefined; slot = await scored.next()) {
      const pixels = engine.slots[slot]?.output as Uint8Array
      const since = performance.now()
      // One picture stands for several frames where its neighbours could not be decoded.
      for (const frame of writes.shift() ?? []) {
        await encoder.write(pixels, frame)
        job.onFrame(++done)
      }
      ms.encodeMs += performance.now() - since
      free.push(slot)
    }
    const since = performance.now()
    await encoder.finish()
    ms.encodeMs += performance.now() - since
  }

  // The first stage to fail stops the others; the encoder is killed, or it would wait for frames that never come.
  let first: { error: unknown } | undefined
  const stages = [decode(), infer(), encode()].map(async (stage) => {
    await stage.catch((error: unknown) => {
      first ??= { error }
      for (const lane of [free, ready, scored]) lane.fail(error)
      encoder.kill()
    })
  })
  await Promise.all(stages)
  // When the work was told to stop, that is the reason, whatever the pipes said as they broke.
  if (first) throw job.signal.aborted ? job.signal.reason : first.error
  return ms
}

/** For each decodable frame, in order: the frames of the batch (from 0) that show its picture. */
function planWrites(batch: Range, ranges: Range[]): number[][] {
  const writes: number[][] = []
  let next = 0
  for (const { first, count } of ranges) {
    for (let i = 0; i < count; i++) {
      const frame = first + i - batch.first
      const gap = Array.from({ length: frame - next }, (_, j) => next + j)
      const before = writes.at(-1)
      if (before) before.push(...gap)
      writes.push(before ? [frame] : [...gap, frame])
      next = frame + 1
    }
  }
  writes.at(-1)?.push(...Array.from({ length: batch.count - next }, (_, j) => next + j))
  return writes
}

/** The stretches of a range that are left when some of its frames can't be decoded. */
export function withoutFrames(range: Range, missing: number[]): Range[] {
  const gone = new Set(missing)
  const ranges: Range[] = []
  for (let frame = range.first; frame < range.first + range.count; frame++) {
    if (gone.has(frame)) continue
    const last = ranges.at(-1)
    if (last && last.first + last.count === frame) last.count++
    else ranges.push({ first: frame, count: 1 })
  }
  return ranges
}
