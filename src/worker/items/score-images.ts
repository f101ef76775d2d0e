import { InputError } from '../../shared/errors.ts'
import type { PartLine } from '../../shared/items/item.ts'
import type { ModelStore } from '../../shared/models/model-store.ts'
import type { EngineRack } from '../engine-rack.ts'
import { failure } from './item-failure.ts'
import type { ItemScorer } from './item-scorer.ts'
import { type ImageStores, type Opened, openImageItem } from './open-image.ts'
import { scoreSize } from './score-size.ts'
import { settledMap } from './settled-map.ts'

export type ImageScorerDeps = ImageStores & {
  models: Pick<ModelStore, 'resolve'>
  engines: EngineRack
}

const fetchedAtOnce = 16
/** Below this a size is not worth trying what is fastest, nor a copy of the model for each thread: it takes twice to four times as long. */
const fewImages = 16

/**
 * Scores a batch of images. All are fetched first, and the worker's other hand may begin to fetch its own; then those that come
 * to the model in one size share an engine, each being decoded, scored and encoded while others are.
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
      job.onItem(++done, 'value' in line)
    }

    const began = performance.now()
    const opened: Opened[] = []
    await settledMap(
      items,
      async (item, place) => {
        if (job.through.has(place) && !job.trial) tell(place, failure(item, unscorable))
        else {
          const one = await openImageItem(deps, job, { manifest, place }).catch((error: unknown) =>
            tell(place, failure(item, error)),
          )
          if (one) opened.push(one)
        }
      },
      { concurrency: fetchedAtOnce, signal },
    )
    ms.fetchMs = performance.now() - began
    job.onFetched()

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

const unscorable = new InputError('unscorable', 'The model fails on it alone.')
