import { availableParallelism } from 'node:os'
import { openMedia, openSystem } from '../shared/stores.ts'
import { readConfig } from '../shared/config.ts'
import { createFileCache } from '../shared/file-cache.ts'
import { createJobFiles } from '../shared/job-files.ts'
import { createJobStatuses } from '../shared/job-status.ts'
import { createLogger, withLogContext } from '../shared/log.ts'
import { createModelStore } from '../shared/models/model-store.ts'
import { packError } from '../shared/packed-error.ts'
import { connectRedis } from '../shared/redis.ts'
import { openScratch } from '../shared/scratch.ts'
import { createSourceReader } from '../shared/source.ts'
import { workerSettings } from './config.ts'
import { type FromEngine, aliveMs, type ToEngine } from './engine-protocol.ts'
import { checkDevice } from './check-device.ts'
import { createEngineRack } from './engine-rack.ts'
import { createRowModels } from './items/row-models.ts'
import { createImageScorer } from './items/score-images.ts'
import { createRowScorer } from './items/score-rows.ts'
import { createScorer } from './score-batch.ts'

/**
 * The main file of the engine: the child process that a worker hands its batches to, two at a time at most. It lives
 * from batch to batch, so a loaded model stays loaded.
 */
const config = readConfig(workerSettings, process.env)
const log = createLogger('engine', config.FRAMEFLEET_LOG_LEVEL)

// The parent may be killed without a word; an engine without a parent has nobody to work for.
process.on('disconnect', () => process.exit(0))
// Signals of the terminal are the parent's to answer, in its order.
process.on('SIGINT', () => {})

const redis = connectRedis(config, log, { name: 'engine' })
const media = openMedia(config)
const system = openSystem(config)
const cache = createFileCache({
  dir: config.FRAMEFLEET_CACHE_DIR,
  maxBytes: config.FRAMEFLEET_CACHE_MAX_BYTES,
})

const wish = {
  device: config.FRAMEFLEET_DEVICE,
  deviceId: config.FRAMEFLEET_DEVICE_ID,
  threads: config.FRAMEFLEET_INFERENCE_THREADS || availableParallelism(),
}
const sources = createSourceReader(media, cache)
const models = createModelStore(system)
const engines = createEngineRack({ models, media, cache, log, wish })
const rowModels = createRowModels({
  ...{ models, cache, log, wish },
  maxBytes: config.FRAMEFLEET_ROW_MODELS_MAX_BYTES,
})
const score = createScorer({
  ...{ media, sources, engines, models },
  scorers: {
    images: createImageScorer({ media, sources, models, engines }),
    table: createRowScorer({ rowModels }),
  },
  files: createJobFiles(media),
  statuses: createJobStatuses(redis, config.FRAMEFLEET_QUEUE_PREFIX),
  stallMs: config.FRAMEFLEET_STALL_SECONDS * 1_000,
  scratch: await openScratch(config.FRAMEFLEET_SCRATCH_DIR),
})

const running = new Map<number, AbortController>()

async function take({
  score: batch,
  manner,
  call,
  fields,
}: Extract<ToEngine, { score: object }>): Promise<void> {
  const controller = new AbortController()
  running.set(call, controller)
  const said = new Set<string>()
  const reach = (reached: 'scoring' | 'decoded') => {
    if (!said.has(reached)) tell({ reached, call })
    said.add(reached)
  }
  try {
    const result = await withLogContext(fields, async () => {
      const { signal } = controller
      return await score(batch, {
        ...{ signal, log, manner },
        onScoring: () => reach('scoring'),
        onDecoded: () => reach('decoded'),
      })
    })
    tell({ result, call })
  } catch (error) {
    tell({ failed: packError(error), call })
  } finally {
    running.delete(call)
  }
}

async function check(call: number): Promise<void> {
  await checkDevice(wish).then(
    () => tell({ fit: true, call }),
    (error: unknown) => tell({ failed: packError(error), call }),
  )
}

// Without a channel there is nobody to tell, and 'disconnect' ends us.
const tell = (message: FromEngine) => void (process.connected && process.send?.(message))

setInterval(() => tell({ alive: true }), aliveMs).unref()

process.on('message', (message: ToEngine) => {
  if ('abort' in message) running.get(message.call)?.abort(message.abort)
  else if ('check' in message) void check(message.call)
  else void take(message)
})
