import { join } from 'node:path'
import type { BlobStore } from '../../shared/blob-store.ts'
import { explainStorage } from '../../shared/blob-store.ts'
import { InputError } from '../../shared/errors.ts'
import type { Item, PartLine } from '../../shared/items/item.ts'
import { extensionsOf } from '../../shared/items/request.ts'
import { fitFrames, frameThrough, type Size } from '../../shared/models/fit.ts'
import type { ModelStore, StoredModel } from '../../shared/models/model-store.ts'
import type { SourceReader } from '../../shared/source.ts'
import type { Engine, Ring } from '../engine.ts'
import type { EngineRack } from '../engine-rack.ts'
import { type ImageFacts, decodeImage, encodeImage, lookAtImage } from './image-files.ts'
import type { ItemScorer, ItemsJob } from './item-scorer.ts'
import { readScores } from './read-scores.ts'
import { settledMap } from './settled-map.ts'

export type ImageScorerDeps = {
  media: Pick<BlobStore, 'head' | 'download' | 'url'>
  sources: Pick<SourceReader, 'look' | 'open'>
  models: Pick<ModelStore, 'resolve'>
  engines: EngineRack
}

const maxImageBytes = 256 << 20
const fetchedAtOnce = 8
/** Below this a size is not worth a copy of the model for each thread. */
const fewImages = 4

/** An image that was fetched and looked at. */
type Opened = { place: number; item: Item; path: string; facts: ImageFacts; picture: Size; frame: Size }

/**
 * Scores a batch of images. All are fetched first; then those that come to the model in one size share an engine, each being
 * decoded, scored and encoded while others are: as many at once as the engine has slots.
 *
 *   fetched ──► looked at ──► of one size ──► slot: decoded ──► scored ──► encoded and kept ──► its line
 *       └───────────┴──────────────┴───────────────────┴──► what is wrong with it is its line
 */
export function createImageScorer({ engines, models, ...deps }: ImageScorerDeps): ItemScorer {
  return async (job) => {
    const { spec, group, items, signal, small, onScoring } = job
    const manifest = await models.resolve(`${group.model.name}@${group.model.version}`)
    const lines: (PartLine | undefined)[] = items.map(() => undefined)
    const ms = { fetchMs: 0, scoreMs: 0 }
    const device: { used?: string } = {}
    let done = 0
    const tell = (place: number, line: PartLine) => {
      lines[place] = line
      if ('error' in line) job.log.debug({ key: line.key, why: line.error.message }, 'an item failed')
      job.onItem(++done)
    }

    const began = performance.now()
    const opened: Opened[] = []
    await settledMap(
      items,
      async (item, place) => {
        if (job.through.has(place) && !job.trial) tell(place, failure(item, unscorable))
        else {
          const one = await open(deps, job, manifest, place).catch((error: unknown) =>
            tell(place, failure(item, error)),
          )
          if (one) opened.push(one)
        }
      },
      { concurrency: fetchedAtOnce, signal },
    )
    ms.fetchMs = performance.now() - began

    const scoring = performance.now()
    opened.sort((a, b) => a.place - b.place)
    for (const some of Map.groupBy(opened, ({ frame }) => `${frame.width}x${frame.height}`).values()) {
      signal.throwIfAborted()
      const [{ frame }] = some as [Opened]
      const options = { dir: job.dir, onScoring, small: small || some.length < fewImages }
      const mounted = await engines
        .open({ ...spec, model: group.model }, frame, options)
        .catch((error: unknown) => {
          // It takes other sizes, and these images are not for it. Of a model that is gone no item is to blame.
          if (!(error instanceof InputError) || !error.code.startsWith('model-refuses')) throw error
          for (const { place, item } of some) tell(place, failure(item, error))
        })
      if (!mounted) continue
      await using engine = mounted
      device.used = engine.engine.device
      await scoreSize({ job, manifest, some, engine: engine.engine, tell })
    }
    ms.scoreMs = performance.now() - scoring
    const sizes = new Set(opened.map(({ frame }) => `${frame.width}x${frame.height}`))
    return {
      lines: lines.filter((line) => line !== undefined),
      device: device.used,
      // How long one takes is known of one size only.
      size: sizes.size === 1 ? [...sizes][0] : undefined,
      ms,
    }
  }
}

type Scoring = {
  job: ItemsJob
  manifest: StoredModel
  /** All of one size, as the model is given them. */
  some: Opened[]
  engine: Engine
  tell(place: number, line: PartLine): void
}

async function scoreSize({ job, manifest, some, engine, tell }: Scoring): Promise<void> {
  const { signal, through, trial } = job
  await using ring = await engine.openRing(job.onScoring)
  const runs = Array.from({ length: Math.ceil(some.length / engine.group) }, (_, i) =>
    some.slice(i * engine.group, (i + 1) * engine.group),
  )
  const free = ring.slots.map((_, slot) => slot)
  const scoreRun = async (run: Opened[]) => {
    const slot = free.pop()
    if (slot === undefined) throw new Error('more runs at once than slots')
    try {
      const good = await fill(ring, slot, run)
      if (good.length > 0) await read(slot, good)
    } finally {
      free.push(slot)
    }
  }
  await settledMap(runs, scoreRun, { concurrency: ring.slots.length, signal })

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

  async function read(slot: number, good: Opened[]): Promise<void> {
    const { scores } = manifest
    if (scores) {
      const { tensors } = await ring.read(slot)
      for (const [n, one] of good.entries()) {
        const { width, height } = one.facts
        const size = { width: one.frame.width, height: one.frame.height }
        const seen = {
          model: frameThrough(manifest, size).padded,
          ...{ inside: size, image: { width, height } },
        }
        const wish = job.spec.request.output.scores ?? {}
        tell(one.place, {
          key: one.item.key,
          value: readScores(tensors, scores, { n, of: engine.group, seen, wish }),
        })
      }
      return
    }
    await ring.run(slot)
    for (const [n, one] of good.entries()) {
      if (trial) tell(one.place, { key: one.item.key, value: {} })
      else tell(one.place, await keepImage(part(ring.slots[slot]?.output, engine.group, n), one))
    }
  }

  async function keepImage(
    pixels: Uint8Array,
    { place, item, path, facts, picture }: Opened,
  ): Promise<PartLine> {
    const output = job.spec.request.output.images ?? {}
    const bytes = await encodeImage({
      ...{ pixels, size: engine.output, picture, output },
      source: { path, facts },
    })
    const format = output.format ?? facts.format
    const [extension] = extensionsOf[format]
    const made = await job.keep(place, extension, bytes)
    return { key: item.key, value: { made, format, width: picture.width, height: picture.height } }
  }
}

/** Fetches an item and looks at it. Throws InputError for what is wrong with it. */
async function open(
  { media, sources }: Pick<ImageScorerDeps, 'media' | 'sources'>,
  { items, queries, dir, signal }: ItemsJob,
  manifest: StoredModel,
  place: number,
): Promise<Opened> {
  const item = items[place] as Item
  const path = join(dir, `image-${place}`)
  if (item.name !== undefined) {
    const { name } = item
    try {
      const found = await media.head(name)
      if (!found) throw new InputError('source-not-found', `There is no blob ${name}.`)
      refuseLarge(found.bytes)
      await media.download(name, path, { ifMatch: found.etag, signal })
    } catch (error) {
      throw explainStorage(error, media.url(name))
    }
  } else {
    const query = queries[place] ?? ''
    const source = await sources.look(`${item.url ?? ''}${query}`)
    refuseLarge(source.bytes)
    await sources.open(source, query, path, signal)
  }
  const facts = await lookAtImage(path)
  const { frame, picture } = fitFrames(manifest, facts)
  return { place, item, path, facts, frame, picture }
}

function refuseLarge(bytes: number): void {
  if (bytes > maxImageBytes)
    throw new InputError('image-too-large', `It has ${bytes} bytes; ${maxImageBytes} are the limit.`)
  if (bytes === 0) throw new InputError('bad-image', 'It is empty (0 bytes).')
}

const unscorable = new InputError('unscorable', 'The model fails on it alone.')

/** What is wrong with an item; anything else is thrown on. */
function failure({ key }: Item, error: unknown): PartLine {
  if (!(error instanceof InputError)) throw error
  return { key, error: { code: error.code, message: error.message } }
}

/** The n-th of the `group` pictures that lie one behind the other in a slot. */
function part(slot: Uint8Array | undefined, group: number, n: number): Uint8Array {
  if (!slot) throw new Error('the ring has no such slot')
  const bytes = slot.length / group
  return slot.subarray(n * bytes, (n + 1) * bytes)
}
