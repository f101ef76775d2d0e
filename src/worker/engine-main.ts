import { availableParallelism } from 'node:os'
import type { SandboxedJob } from 'bullmq'
import { connectAccount, createBlobStore } from '../shared/blob-store.ts'
import { readConfig } from '../shared/config.ts'
import { createFileCache } from '../shared/file-cache.ts'
import { createJobFiles } from '../shared/job-files.ts'
import { createJobStatuses } from '../shared/job-status.ts'
import { createLogger } from '../shared/log.ts'
import { createModelStore } from '../shared/models/model-store.ts'
import { connectRedis } from '../shared/redis.ts'
import { openScratch } from '../shared/scratch.ts'
import { createSourceReader } from '../shared/source.ts'
import { processorOf } from '../shared/workload.ts'
import { workerSettings } from './config.ts'
import { createEngineRack } from './engine-rack.ts'
import { scoreWorkload } from './score-batch.ts'

/**
 * The main file of the engine: the child process that BullMQ's worker hands batches to. It is a process of its own so
 * that nothing the runtime or a model does can hold up the lease's renewal in the parent, or take the parent with it.
 * BullMQ keeps it from batch to batch, so a loaded model stays loaded.
 */
const config = readConfig(workerSettings, process.env)
const log = createLogger('engine', config.FRAMEFLEET_LOG_LEVEL)

// The parent may be killed without a word; an engine without a parent has nobody to work for.
process.on('disconnect', () => process.exit(0))

const redis = connectRedis(config.FRAMEFLEET_REDIS_URL, log, { name: 'engine' })
const media = createBlobStore(
  connectAccount(config.FRAMEFLEET_MEDIA_ACCOUNT),
  config.FRAMEFLEET_MEDIA_CONTAINER,
)
const system = createBlobStore(
  connectAccount(config.FRAMEFLEET_SYSTEM_ACCOUNT),
  config.FRAMEFLEET_SYSTEM_CONTAINER,
)
const cache = createFileCache({
  dir: config.FRAMEFLEET_CACHE_DIR,
  maxBytes: config.FRAMEFLEET_CACHE_MAX_BYTES,
})
const threads = config.FRAMEFLEET_INFERENCE_THREADS || availableParallelism()

const score = scoreWorkload({
  files: createJobFiles(media),
  statuses: createJobStatuses(redis, config.FRAMEFLEET_QUEUE_PREFIX),
  media,
  sources: createSourceReader(media, cache),
  scratch: await openScratch(config.FRAMEFLEET_SCRATCH_DIR),
  engines: createEngineRack({
    models: createModelStore(system),
    media,
    cache,
    threads,
  }),
})
const processor = processorOf(score, log)

// BullMQ hands the abort signal only to functions that name three arguments.
export default async (job: SandboxedJob, token: string, signal: AbortSignal): Promise<unknown> =>
  await processor(job, token, signal)
