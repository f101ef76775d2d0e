import { InputError } from '../shared/errors.ts'
import type { FileCache } from '../shared/file-cache.ts'
import type { BlobStore } from '../shared/blob-store.ts'
import type { JobSpec } from '../shared/job.ts'
import { layout } from '../shared/layout.ts'
import { expectOutput, fitFrames, type Size } from '../shared/models/fit.ts'
import type { ModelStore, StoredModel } from '../shared/models/model-store.ts'
import { readStyle } from '../shared/models/style-image.ts'
import { type StyleImage, wrapModel } from '../shared/models/wrap.ts'
import type { DeviceWish } from '../shared/models/device.ts'
import type { Logger } from '../shared/log.ts'
import { startBestGroup } from './best-group.ts'
import { type Engine, startEngine } from './engine.ts'

export type EngineRack = ReturnType<typeof createEngineRack>

type RackDeps = { models: ModelStore; media: BlobStore; cache: FileCache; log: Logger; wish: DeviceWish }

/** Frames that are under way between decoder, model and encoder, in groups. */
const slotsOf = (group: number) => (lanes: number) => (group === 1 ? 2 : 1) + 2 * lanes
/** Engines that are kept whatever they take, and how many there may be while their frames have no more pixels than two of a video. */
const maxEngines = 2
const mostEngines = 8
const pixelsOfTwo = 2 * 1_920 * 1_080

/** An engine, the size of the frames it takes, and that of the output's picture. */
type Mounted = { engine: Engine; size: Size; picture: Size }

/** A place in the rack; what somebody uses stays in it. */
type Place = { mounted: Promise<Mounted>; users: number; pixels: number }

type OpenOptions = {
  /** A folder for the model's file. */
  dir: string
  /** Called before the runtime loads a model, which can kill the process. */
  onScoring(): void
  /** One frame at a time, on one thread. */
  small: boolean
}

/** Whether another engine may come beside these. A folder of small pictures may have many sizes, and each takes an engine. */
function hasRoom(places: Pick<Place, 'pixels'>[], pixels: number): boolean {
  if (places.length < maxEngines) return true
  const all = places.reduce((sum, place) => sum + place.pixels, pixels)
  return places.length < mostEngines && all <= pixelsOfTwo
}

/** Engines that stay loaded from batch to batch: those of the last few models and source sizes that were used. */
export function createEngineRack({ models, media, cache, log, wish }: RackDeps) {
  // In order of use, the latest last. What is being loaded is in here too: batches that want the same wait for it.
  const places = new Map<string, Place>()

  /** Closes what was longest unused, unless there is room. */
  async function makeRoom(pixels: number) {
    const going: Place[] = []
    // All of them before anything is waited for: then the place that they make room for is in here too.
    for (const [key, place] of [...places]) {
      if (hasRoom([...places.values()], pixels)) break
      if (place.users > 0) continue
      places.delete(key)
      going.push(place)
    }
    await Promise.all(going.map(async ({ mounted }) => await (await mounted).engine.close()))
  }

  /** The place of a key, which is being loaded if there was none. Nothing is waited for: who comes next must see it. */
  function placeOf(key: string, pixels: number, load: () => Promise<Mounted>): Place {
    const there = places.get(key)
    places.delete(key)
    const place = there ?? { mounted: makeRoom(pixels).then(load), users: 0, pixels }
    places.set(key, place)
    if (!there) place.mounted.catch(() => remove(key, place))
    return place
  }

  function remove(key: string, place: Place) {
    if (places.get(key) === place) places.delete(key)
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

  async function mount(
    spec: JobSpec,
    source: Size,
    { dir, onScoring, small }: OpenOptions,
  ): Promise<Mounted> {
    const { model } = spec
    const { manifest, bytes } = await models.fetch(model, cache, dir)
    const { frame, picture } = fitFrames(manifest, source)
    const style = await styleOf(spec, manifest)
    onScoring()
    const began = performance.now()
    const start = async (group: number) =>
      await startEngine({
        model: wrapModel(bytes, manifest, { ...frame, batch: group }, style),
        modelName: model.name,
        slots: slotsOf(group),
        ...{ frame, group, wish: small ? { ...wish, threads: 1 } : wish },
      })
    const engine = await (small ? start(1) : startBestGroup(start))
    const { device, fellBack, group, lanes, runMs } = engine
    if (fellBack !== undefined)
      log.warn({ why: fellBack }, 'the GPU is not used: the model runs on the processor')
    const loadMs = Math.round(performance.now() - began)
    log.info(
      { model: model.name, ...frame, device, lanes, group, runMs: Math.round(runMs), loadMs },
      'model loaded',
    )
    try {
      if (!manifest.scores) expectOutput(manifest, frame, engine.output)
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
    async open(
      spec: JobSpec,
      { width, height }: Size,
      options: OpenOptions,
    ): Promise<Mounted & AsyncDisposable> {
      const { model, style } = spec
      const look = style ? `${style.url} ${style.etag}` : 'own'
      const key = `${model.name}@${model.version} ${model.sha256} ${look} ${width}x${height} ${options.small ? 'small' : ''}`
      for (;;) {
        const place = placeOf(key, width * height, async () => await mount(spec, { width, height }, options))
        place.users += 1
        const leave = async () => {
          place.users -= 1
          // Its thread died or hangs: nobody will ask for it again.
          if (place.users === 0 && !places.has(key)) await (await place.mounted).engine.close()
        }
        const mounted = await place.mounted.catch((error: unknown) => {
          place.users -= 1
          throw error
        })
        if (!mounted.engine.broken()) return { ...mounted, [Symbol.asyncDispose]: leave }
        remove(key, place)
        await leave()
      }
    },
  }
}
