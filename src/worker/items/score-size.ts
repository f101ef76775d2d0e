import type { PartLine } from '../../shared/items/item.ts'
import { extensionsOf } from '../../shared/items/request.ts'
import { frameThrough } from '../../shared/models/fit.ts'
import type { ModelManifest } from '../../shared/models/manifest.ts'
import type { Engine, Ring } from '../engine.ts'
import { decodeImage, encodeImage } from './image-files.ts'
import { failure, noNumber } from './item-failure.ts'
import type { ItemsJob } from './item-scorer.ts'
import type { Opened } from './open-image.ts'
import { readScores } from './read-scores.ts'
import { settledMap } from './settled-map.ts'

/** Bytes of raw images that may be on their way to storage, which takes longer than scoring them, while others have their slots. */
const keptBytes = 64 << 20
const mostKept = 16

type Scoring = {
  job: ItemsJob
  manifest: ModelManifest
  /** All of one size, as the model is given them. */
  some: Opened[]
  engine: Engine
  tell(place: number, line: PartLine): void
}

/** What was made of an image and is not kept yet. */
type Made = { one: Opened; bytes: Buffer; extension: string; format: string }

/** Scores images that come to the model in one size: as many at once as the engine has slots, and tells of each what became of it. */
export async function scoreSize({ job, manifest, some, engine, tell }: Scoring): Promise<void> {
  const { signal, through, trial } = job
  await using ring = await engine.openRing(job.onScoring)
  const runs = Array.from({ length: Math.ceil(some.length / engine.group) }, (_, i) =>
    some.slice(i * engine.group, (i + 1) * engine.group),
  )
  const slots = createSlots(ring.slots.length)
  const scoreRun = async (run: Opened[]) => {
    const slot = await slots.take()
    let made: Made[] = []
    try {
      signal.throwIfAborted()
      const good = await fill(ring, slot, run)
      if (good.length > 0) made = await score(slot, good)
    } finally {
      slots.give(slot)
    }
    for (const each of made) tell(each.one.place, await keep(each))
  }
  const runBytes = ring.slots[0]?.output.length ?? 0
  const kept = Math.max(1, Math.min(mostKept, Math.floor(keptBytes / Math.max(1, runBytes))))
  await settledMap(runs, scoreRun, { concurrency: ring.slots.length + kept, signal })

  /** Decodes a run's images into a slot, one behind the other; answers those that could be. */
  async function fill({ slots }: Ring, slot: number, run: Opened[]): Promise<Opened[]> {
    const good: Opened[] = []
    for (const one of run) {
      const pixels = part(slots[slot]?.input, engine.group, good.length)
      if (through.has(one.place)) pixels.fill(0)
      else {
        const decoded = await decodeImage(one.path, one.facts, one.frame).catch((error: unknown) =>
          tell(one.place, failure(one.item, error)),
        )
        if (!decoded) continue
        pixels.set(decoded)
      }
      good.push(one)
    }
    return good
  }

  /** Answers the images that were made; where there are none the lines are told. */
  async function score(slot: number, good: Opened[]): Promise<Made[]> {
    if (manifest.scores) {
      const { tensors } = await ring.read(slot)
      for (const [n, one] of good.entries()) {
        const { key } = one.item
        const value = readScores(tensors, manifest.scores, seenBy(one, n))
        tell(one.place, value ? { key, value } : { key, error: noNumber })
      }
      return []
    }
    await ring.run(slot)
    if (!trial) {
      const encoding = good.map(
        async (one, n) =>
          await encode(part(ring.slots[slot]?.output, engine.group, n), one).catch((error: unknown) =>
            tell(one.place, failure(one.item, error)),
          ),
      )
      return (await Promise.all(encoding)).filter((each) => each !== undefined)
    }
    for (const { place, item } of good) tell(place, { key: item.key, value: {} })
    return []
  }

  function seenBy({ facts, frame }: Opened, n: number) {
    const size = { width: frame.width, height: frame.height }
    const image = { width: facts.width, height: facts.height }
    const seen = { model: frameThrough(manifest, size).padded, inside: size, image }
    return { n, of: engine.group, seen, wish: job.spec.request.output.scores ?? {} }
  }

  async function encode(pixels: Uint8Array, one: Opened): Promise<Made> {
    const { path, facts, picture } = one
    const output = job.spec.request.output.images ?? {}
    const source = { path, facts }
    const bytes = await encodeImage({ pixels, size: engine.output, picture, output, source })
    const format = output.format ?? facts.format
    return { one, bytes, format, extension: extensionsOf[format][0] }
  }

  async function keep({ one, bytes, extension, format }: Made): Promise<PartLine> {
    const made = await job.keep(one.place, extension, bytes)
    const { width, height } = one.picture
    return { key: one.item.key, value: { made, format, width, height } }
  }
}

/** Places that are lent to one at a time; who finds none waits. */
function createSlots(count: number) {
  const free = Array.from({ length: count }, (_, slot) => slot)
  const waiting: ((slot: number) => void)[] = []
  return {
    async take(): Promise<number> {
      return (
        free.pop() ??
        (await new Promise<number>((resolve) => {
          waiting.push(resolve)
        }))
      )
    },
    give(slot: number): void {
      const next = waiting.shift()
      if (next) next(slot)
      else free.push(slot)
    },
  }
}

/** The n-th of the `group` pictures that lie one behind the other in a slot. */
function part(slot: Uint8Array | undefined, group: number, n: number): Uint8Array {
  if (!slot) throw new Error('the ring has no such slot')
  const bytes = slot.length / group
  return slot.subarray(n * bytes, (n + 1) * bytes)
}
