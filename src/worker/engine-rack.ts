import { InputError } from '../shared/errors.ts'
import type { FileCache } from '../shared/file-cache.ts'
import type { BlobStore } from '../shared/blob-store.ts'
import type { JobSpec } from '../shared/job.ts'
import { layout } from '../shared/layout.ts'
import { expectOutput, fitFrames, type Size } from '../shared/models/fit.ts'
import type { ModelStore, StoredModel } from '../shared/models/model-store.ts'
import { readStyle } from '../shared/models/style-image.ts'
import { type StyleImage, wrapModel } from '../shared/models/wrap.ts'
import { type Engine, startEngine } from './engine.ts'

export type EngineRack = ReturnType<typeof createEngineRack>

type RackDeps = { models: ModelStore; media: BlobStore; cache: FileCache; threads: number }

const ringSize = 4
const maxEngines = 2

/** An engine, the size of the frames it takes, and that of the output's picture. */
type Mounted = { engine: Engine; size: Size; picture: Size }

/** Engines that stay loaded from batch to batch: those of the last few models and source sizes that were used. */
export function createEngineRack({ models, media, cache, threads }: RackDeps) {
  // In order of use, the latest last.
  const mounted = new Map<string, Mounted>()

  async function makeRoom() {
    const [oldest] = mounted
    if (mounted.size < maxEngines || !oldest) return
    mounted.delete(oldest[0])
    await oldest[1].engine.close()
  }

  /** The job's own style image, or the one that comes with the model. */
  async function styleOf(spec: JobSpec, manifest: StoredModel): Promise<StyleImage | undefined> {
    if (!spec.style) return manifest.style?.image ? await readStyle(await models.style(manifest)) : undefined
    const png = await media.read(layout.style(spec.id))
    if (png) return await readStyle(png)
    throw new InputError(
      'style-gone',
      `The style image of job ${spec.id} is gone (${layout.style(spec.id)}).`,
    )
  }

  async function mount(spec: JobSpec, source: Size, dir: string): Promise<Mounted> {
    const { model } = spec
    const { manifest, bytes } = await models.fetch(model, cache, dir)
    const { frame, picture } = fitFrames(manifest, source)
    const wrapped = wrapModel(bytes, manifest, { ...frame, batch: 1 }, await styleOf(spec, manifest))
    const engine = await startEngine({
      model: wrapped,
      modelName: model.name,
      ...frame,
      threads,
      ring: ringSize,
    })
    try {
      expectOutput(manifest, frame, engine.output)
    } catch (error) {
      await engine.close()
      throw error
    }
    return { engine, size: frame, picture }
  }

  return {
    /**
     * The engine for a job's model and style, and its source's size: frames are brought to `size` for it, and its
     * output to `picture`. Throws InputError when the model refuses.
     */
    async open(spec: JobSpec, { width, height }: Size, dir: string): Promise<Mounted> {
      const { model, style } = spec
      const look = style ? `${style.url} ${style.etag}` : 'own'
      const key = `${model.name}@${model.version} ${model.sha256} ${look} ${width}x${height}`
      const there = mounted.get(key)
      mounted.delete(key)
      if (there?.engine.broken()) await there.engine.close()
      else if (there) {
        mounted.set(key, there)
        return there
      }
      await makeRoom()
      const made = await mount(spec, { width, height }, dir)
      mounted.set(key, made)
      return made
    },
  }
}
