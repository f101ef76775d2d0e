import { classify } from '../../shared/classify.ts'
import { InputError, PoisonError, TransientError } from '../../shared/errors.ts'
import type { FileCache } from '../../shared/file-cache.ts'
import type { Logger } from '../../shared/log.ts'
import type { DeviceWish } from '../../shared/models/device.ts'
import { featureGraph } from '../../shared/models/features.ts'
import { type FeaturesInput, takesFeatures } from '../../shared/models/manifest.ts'
import type { ModelRef, ModelStore, StoredModel } from '../../shared/models/model-store.ts'
import type { ScoreTensor } from '../inference-thread.ts'
import { startThread } from '../model-thread.ts'
import type { FromRows, ToRows } from '../rows-thread.ts'

type Deps = {
  models: Pick<ModelStore, 'fetch'>
  cache: FileCache
  log: Logger
  wish: DeviceWish
  /** What the models that nobody uses just now may take of memory, with those that somebody does. */
  maxBytes: number
  /** The thread that they run on. */
  start?: () => RowsThread
}
type RowsThread = ReturnType<typeof startRows>

type FeatureModel = StoredModel & { input: FeaturesInput }
type Loaded = { manifest: FeatureModel; device: string; rows?: number }
type Place = { loaded: Promise<Loaded>; bytes: number; users: number }
type Loading = {
  onBytes(bytes: number): void
  /** Whether what is loaded will be found: its place is still there. */
  isWanted(): boolean
}

export type RowModel = {
  manifest: FeatureModel
  device: string
  /** Set where the model takes so many rows a run, never more or less. */
  rows?: number
  /** Scores rows that lie one behind the other in `data`. Throws PoisonError where the model fails on them. */
  run(data: Float32Array | Float64Array, rows: number): Promise<ScoreTensor[]>
}

export type RowModels = ReturnType<typeof createRowModels>

type OpenOptions = {
  /** A folder for the model's file. */
  dir: string
  /** Called before the runtime loads a model, which can kill the process. */
  onScoring(): void
}

/**
 * What a loaded model takes. The growth of the process, which is what frames' models are measured by, says nothing of small
 * ones: most come out of memory that was there already. Measured over many of one kind it was 3.1 times the file for SVMs, 5.6 times
 * for forests, whose file is the densest, and 4 MB beside that.
 */
const memoryOf = (fileBytes: number) => 6 * fileBytes + (4 << 20)

/**
 * Models of features that stay loaded from batch to batch and from job to job, until others need their memory: the one that
 * was longest unused goes first, and one that a batch is at stays. On the processor, unless a GPU is asked for by name: what
 * is to be worked out of a row is little beside its way there. On one thread: on several a forest's trees are summed up in another
 * order, and a batch must give the same bytes anywhere.
 */
export function createRowModels({ models, cache, log, wish, maxBytes, start = startRows }: Deps) {
  const device = wish.device === 'auto' ? 'cpu' : wish.device
  // In order of use, the latest last.
  const places = new Map<string, Place>()
  let thread: RowsThread | undefined

  /** The thread, or a new one in place of one that died or hung: what that had loaded is gone. */
  function living() {
    if (thread?.broken()) {
      places.clear()
      void thread.close()
      thread = undefined
    }
    thread ??= start()
    return thread
  }

  function makeRoom(needed: number): void {
    let held = [...places.values()].reduce((sum, { bytes }) => sum + bytes, needed)
    for (const [key, { bytes, users }] of places) {
      if (held <= maxBytes) return
      if (users > 0) continue
      places.delete(key)
      held -= bytes
      log.debug({ model: key, held }, 'a model made room')
      // Not waited for: it goes before whatever is asked next.
      living()
        .ask({ drop: key })
        .catch((error: unknown) => log.warn({ err: error }, 'a model could not be dropped'))
    }
  }

  async function load(
    ref: ModelRef,
    key: string,
    { onBytes, isWanted, ...options }: OpenOptions & Loading,
  ): Promise<Loaded> {
    const { manifest, bytes } = await models.fetch(ref, cache, options.dir)
    if (!takesFeatures(manifest))
      throw new InputError('model-mismatch', `The model ${ref.name} takes images, not rows of a table.`)
    const model = featureGraph(bytes, manifest)
    makeRoom(memoryOf(model.length))
    onBytes(memoryOf(model.length))
    const asked = living()
    // The thread died meanwhile, and all places with it: whoever asks next loads it again.
    if (!isWanted()) throw new TransientError(`The model ${ref.name} was being loaded when its thread died.`)
    options.onScoring()
    const answer = await asked
      .ask({ load: key, model, wish: { ...wish, device, threads: 1 } })
      .catch((error: unknown) => {
        if (classify(error) !== 'unknown') throw error
        const [why] = (error as Error).message.split('\n')
        throw new InputError('model-refuses', `The model ${ref.name} can't be loaded: ${why}`, {
          cause: error,
        })
      })
    if (!('device' in answer)) throw new Error('the thread of rows said nothing of the model it loaded')
    log.info({ model: ref.name, device: answer.device, bytes: model.length }, 'model loaded')
    return { manifest, ...answer }
  }

  /** The place of a key, which is being loaded if there was none. Nothing is waited for: who comes next must see it. */
  function placeOf(key: string, begin: (loading: Loading) => Promise<Loaded>): Place {
    const there = places.get(key)
    places.delete(key)
    const loading: Loading = {
      onBytes: (bytes) => (place.bytes = bytes),
      isWanted: () => places.get(key) === place,
    }
    const place: Place = there ?? { bytes: 0, users: 0, loaded: begin(loading) }
    places.set(key, place)
    if (!there) place.loaded.catch(() => places.get(key) === place && places.delete(key))
    return place
  }

  return {
    /** Bytes that the models take which are loaded, as far as that is known. */
    held: () => [...places.values()].reduce((sum, { bytes }) => sum + bytes, 0),
    /** A model for as long as a batch is at it. Throws InputError for one that is gone, or that is none of features. */
    async open(ref: ModelRef, options: OpenOptions): Promise<RowModel & Disposable> {
      const key = `${ref.name}@${ref.version} ${ref.sha256}`
      const asked = living()
      const place = placeOf(key, (loading) => load(ref, key, { ...options, ...loading }))
      place.users += 1
      const {
        manifest,
        device: used,
        rows,
      } = await place.loaded.catch((error: unknown) => {
        place.users -= 1
        throw error
      })
      return {
        ...{ manifest, device: used, ...(rows === undefined ? {} : { rows }) },
        async run(data, count) {
          options.onScoring()
          const answer = await asked.ask({ run: key, data, rows: count }).catch((error: unknown) => {
            throw failed(error)
          })
          return 'tensors' in answer ? answer.tensors : []
        },
        [Symbol.dispose]: () => {
          place.users -= 1
        },
      }
    },
    async close(): Promise<void> {
      places.clear()
      await thread?.close()
      thread = undefined
    },
  }
}

const startRows = () => startThread<{ asks: ToRows; answers: FromRows }>('rows-thread')

/** The model was loaded: what it fails on now is in the rows. */
function failed(error: unknown): unknown {
  if (classify(error) !== 'unknown') return error
  const [why] = (error as Error).message.split('\n')
  return new PoisonError(`the model fails on its rows: ${why}`, { cause: error })
}
