import { InputError } from '../shared/errors.ts'
import type { FileCache } from '../shared/file-cache.ts'
import type { Plan } from '../shared/job.ts'
import type { ModelRef, ModelStore } from '../shared/models/model-store.ts'
import { scaledSize, wrapModel } from '../shared/models/wrap.ts'
import { type Engine, startEngine } from './engine.ts'

export type EngineRack = ReturnType<typeof createEngineRack>

type RackDeps = { models: ModelStore; cache: FileCache; threads: number }

const ringSize = 4
const maxEngines = 2

/** Engines that stay loaded from batch to batch: the last few models and sizes that were used. */
export function createEngineRack({ models, cache, threads }: RackDeps) {
  // In order of use, the latest last.
  const engines = new Map<string, Engine>()

  async function makeRoom() {
    const [oldest] = engines
    if (engines.size < maxEngines || !oldest) return
    engines.delete(oldest[0])
    await oldest[1].close()
  }

  return {
    /**
     * The engine for a model and a source. `size` is that of the frames it takes; `picture` that of the output video:
     * a model of one size has its frames stretched to it and back. Throws InputError when the model refuses.
     */
    async open(model: ModelRef, source: Pick<Plan['video'], 'width' | 'height'>, dir: string) {
      const { manifest, bytes } = await models.fetch(model, cache, dir)
      const fixed = 'width' in manifest.size ? manifest.size : undefined
      const { width, height } = fixed ?? source
      const key = `${model.sha256} ${width}x${height}`
      let engine = engines.get(key)
      if (engine?.broken()) {
        engines.delete(key)
        await engine.close()
        engine = undefined
      }
      if (!engine) {
        await makeRoom()
        const wrapped = wrapModel(bytes, manifest, { width, height, batch: 1 })
        engine = await startEngine({
          model: wrapped,
          modelName: model.name,
          width,
          height,
          threads,
          ring: ringSize,
        })
        try {
          expectSize(model.name, { width, height }, engine.output, scaledSize(manifest, { width, height }))
        } catch (error) {
          await engine.close()
          throw error
        }
      }
      engines.delete(key)
      engines.set(key, engine)
      const picture = fixed ? { width: source.width, height: source.height } : engine.output
      return { engine, picture, size: { width, height } }
    },
  }
}

type Size = { width: number; height: number }

/** A model that rounds its sides up by itself would change the picture's size unnoticed. */
function expectSize(model: string, taken: Size, given: Size, promised: Size): void {
  if (given.width === promised.width && given.height === promised.height) return
  const text = ({ width, height }: Size) => `${width}x${height}`
  throw new InputError(
    'model-refuses',
    `The model ${model} gives ${text(given)} for frames of ${text(taken)}, not ${text(promised)}; its manifest needs size.multipleOf or output.scale.`,
  )
}
