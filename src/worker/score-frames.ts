import type { Plan } from '../shared/job.ts'
import type { Range } from '../shared/media/frame-range.ts'
import { type Picture, decodeRange } from './decode-range.ts'
import type { Ring } from './engine.ts'
import { createLane } from './frame-ring.ts'

/** What becomes of frames as the model sees them: pictures, or what it says of each. */
export type FrameSink = {
  /** Has the model look at a slot of the ring; milliseconds of that alone. */
  run(slot: number): Promise<number>
  /**
   * Takes what was scored, for each of `frames` of the batch (from 0), in order. `unseen`: the pixels of a frame that the model
   * was not shown. Once it resolves the slot may be filled again.
   */
  take(scored: { slot: number; place: number; unseen?: Uint8Array }, frames: number[]): Promise<void>
  /** Ends it: it is whole. */
  finish(): Promise<void>
  /** Ends it, half done; nothing is written any more once it resolves. */
  kill(): void | Promise<void>
}

type ScoreJob = {
  path: string
  plan: Plan
  /** Stretches of the batch that can be decoded; between them lie frames that can't. */
  ranges: Range[]
  batch: Range
  picture: Picture
  /** Of the decoder. */
  threads: number
  /** False: decode from the start of the file. */
  seek: boolean
  ring: Ring
  /** Frames in each slot of the ring. */
  group: number
  sink: FrameSink
  /** Frames of the video that the model must not see: it gets a black one. */
  through: Set<number>
  signal: AbortSignal
  stallMs?: number
  onFrame(done: number): void
  /** All is decoded: the processor is free for the next batch's decoder. */
  onDecoded(): void
}

export type PhaseTimes = { decodeMs: number; inferMs: number; encodeMs: number }

/**
 * Decodes and scores a batch and encodes what comes of it, all three at once over the engine's ring of frames:
 *
 *   free ─► decode ─► ready ─► model ─► scored ─► encode ─► free
 *
 * A frame that can't be decoded repeats what the nearest one before it in the batch became, or the one after it at the
 * batch's start. Milliseconds are those each stage was at work, not waiting for the others.
 */
export async function scoreFrames(job: ScoreJob): Promise<PhaseTimes> {
  const { ring, group, sink, batch, ranges } = job
  const free = createLane(ring.slots.map((_, slot) => slot))
  const ready = createLane()
  const scored = createLane()
  const ms: PhaseTimes = { decodeMs: 0, inferMs: 0, encodeMs: 0 }
  const writes = planWrites(batch, ranges)
  const filled = ring.slots.map(() => 0)
  /** By slot and place in it: what the model was not shown. */
  const kept = ring.slots.map(() => new Map<number, Uint8Array>())

  async function decode() {
    let slot: number | undefined
    const pass = () => {
      if (slot !== undefined) ready.push(slot)
      slot = undefined
    }
    for (const range of ranges) {
      let since = performance.now()
      const take = async () => {
        ms.decodeMs += performance.now() - since
        if (slot === undefined) {
          slot = (await free.next()) as number
          filled[slot] = 0
        }
        since = performance.now()
        return part(ring.slots[slot]?.input, group, filled[slot] ?? 0)
      }
      const put = (frame: number) => {
        const place = filled[slot as number] ?? 0
        if (job.through.has(range.first + frame)) {
          const pixels = part(ring.slots[slot as number]?.input, group, place)
          kept[slot as number]?.set(place, Uint8Array.from(pixels))
          pixels.fill(0)
        }
        const count = place + 1
        filled[slot as number] = count
        if (count === group) pass()
      }
      await decodeRange({ ...job, range }, take, put)
      ms.decodeMs += performance.now() - since
    }
    // The last group may not be full: what else lies in its slot is scored too, and not looked at.
    pass()
    ready.close()
    job.onDecoded()
  }

  async function infer() {
    let last: Promise<void> = Promise.resolve()
    const inOrder = async (slot: number, run: Promise<number>, before: Promise<void>) => {
      const [took] = await Promise.all([run, before])
      ms.inferMs += took
      scored.push(slot)
    }
    for (let slot = await ready.next(); slot !== undefined; slot = await ready.next()) {
      // Not waited for here: the model finds its next frames waiting.
      last = guarded(inOrder(slot, sink.run(slot), last))
    }
    await last
    scored.close()
  }

  async function encode() {
    let done = 0
    for (let slot = await scored.next(); slot !== undefined; slot = await scored.next()) {
      const since = performance.now()
      for (let i = 0; i < (filled[slot] ?? 0); i++) {
        // One stands for several frames where its neighbours could not be decoded.
        const frames = writes.shift() ?? []
        await sink.take({ slot, place: i, unseen: kept[slot]?.get(i) }, frames)
        done += frames.length
        job.onFrame(done)
      }
      ms.encodeMs += performance.now() - since
      kept[slot]?.clear()
      free.push(slot)
    }
    const since = performance.now()
    await sink.finish()
    ms.encodeMs += performance.now() - since
  }

  // The first stage to fail stops the others; an encoder is killed, or it would wait for frames that never come.
  let first: { error: unknown } | undefined
  async function guarded(stage: Promise<void>): Promise<void> {
    await stage.catch(async (error: unknown) => {
      first ??= { error }
      for (const lane of [free, ready, scored]) lane.fail(error)
      await sink.kill()
    })
  }
  await Promise.all([decode(), infer(), encode()].map(guarded))
  // When the work was told to stop, that is the reason, whatever the pipes said as they broke.
  if (first) throw job.signal.aborted ? job.signal.reason : first.error
  return ms
}

/** The n-th of the `group` frames that lie one behind the other in a slot. */
export function part(slot: Uint8Array | undefined, group: number, n: number): Uint8Array {
  if (!slot) throw new Error('the ring has no such slot')
  const bytes = slot.length / group
  return slot.subarray(n * bytes, (n + 1) * bytes)
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
