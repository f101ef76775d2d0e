import { InputError } from '../shared/errors.ts'
import type { FileCache } from '../shared/file-cache.ts'
import type { ModelRef, ModelStore } from '../shared/models/model-store.ts'
import { scaledSize, wrapModel } from '../shared/models/wrap.ts'
import { type Engine, startEngine } from './engine.ts'

export type EngineRack = ReturnType<typeof createEngineRack>

type RackDeps = { models: ModelStore; cache: FileCache; threads: number }

const ringSize = 4
const maxEngines = 2

/** An engine, the size of the frames it takes, and that of the output's picture. */
type Mounted = { engine: Engine; size: Size; picture: Size }

/** Engines that stay loaded from batch to batch: those of the last few models and source sizes that were used. */
export function createEngineRack({ models, cache, threads }: RackDeps) {
  // In order of use, the latest last.
  const mounted = new Map<string, Mounted>()

  async function makeRoom() {
    const [oldest] = mounted
    if (mounted.size < maxEngines || !oldest) return
    mounted.delete(oldest[0])
    await oldest[1].engine.close()
  }

  async function mount(model: ModelRef, source: Size, dir: string): Promise<Mounted> {
    const { manifest, bytes } = await models.fetch(model, cache, dir)
    const fixed = 'width' in manifest.size ? manifest.size : undefined
    const { width, height } = fixed ?? source
    const size = { width, height }
    const wrapped = wrapModel(bytes, manifest, { ...size, batch: 1 })
    const engine = await startEngine({
      model: wrapped,
      modelName: model.name,
      ...size,
      threads,
      ring: ringSize,
    })
    try {
      expectSize(model.name, size, engine.output, scaledSize(manifest, size))
    } catch (error) {
      await engine.close()
      throw error
    }
    return { engine, size, picture: fixed ? { width: source.width, height: source.height } : engine.output }
  }

  return {
    /**
     * The engine for a model and a source; a model of one size has its frames stretched to it and back. Throws
     * InputError when the model refuses.
     */
    async open(model: ModelRef, { width, height }: Size, dir: string): Promise<Mounted> {
      const key = `${model.name}@${model.version} ${model.sha256} ${width}x${height}`
      const there = mounted.get(key)
      mounted.delete(key)
      if (there?.engine.broken()) await there.engine.close()
      else if (there) {
        mounted.set(key, there)
        return there
      }
      await makeRoom()
      const made = await mount(model, { width, height }, dir)
      mounted.set(key, made)
      return made
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
