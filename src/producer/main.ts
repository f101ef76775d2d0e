import { FlowProducer, Queue, Worker } from 'bullmq'
import { readConfig } from '../shared/config.ts'
import { openMedia, openSystem } from '../shared/stores.ts'
import { createFileCache } from '../shared/file-cache.ts'
import { createJobFiles } from '../shared/job-files.ts'
import { createJobStatuses } from '../shared/job-status.ts'
import { runRole } from '../shared/lifecycle.ts'
import { createLogger } from '../shared/log.ts'
import { createRegistry, createWorkMetrics } from '../shared/metrics.ts'
import { createModelStore } from '../shared/models/model-store.ts'
import { shippedModels } from '../shared/models/shipped.ts'
import { type QueueName, entryIds, queues, workerOptions } from '../shared/queues.ts'
import { connectRedis } from '../shared/redis.ts'
import { openScratch } from '../shared/scratch.ts'
import { createSourceReader } from '../shared/source.ts'
import { drainWorker, observeWorker, onFinalFailure } from '../shared/queue-worker.ts'
import { processorOf } from '../shared/workload.ts'
import { producerSettings } from './config.ts'
import { createServer } from './server.ts'
import { splitWorkload } from './split.ts'

const config = readConfig(producerSettings, process.env)
const log = createLogger('producer', config.FRAMEFLEET_LOG_LEVEL)

await runRole(log, config.FRAMEFLEET_DRAIN_MS, async () => {
  const prefix = config.FRAMEFLEET_QUEUE_PREFIX
  const redis = connectRedis(config.FRAMEFLEET_REDIS_URL, log, { name: 'producer' })
  const working = connectRedis(config.FRAMEFLEET_REDIS_URL, log, { name: 'producer-work' })
  // People wait for the API's answers: where Redis is away it says so instead of waiting with them.
  const prompt = connectRedis(config.FRAMEFLEET_REDIS_URL, log, { name: 'producer-api', patient: false })
  const media = openMedia(config)
  const system = openSystem(config)
  await Promise.all([media.ensureContainer(), system.ensureContainer()])
  const models = createModelStore(system)
  for (const { manifest, bytes } of await shippedModels()) await models.put(manifest, bytes)

  const cache = createFileCache({
    dir: config.FRAMEFLEET_CACHE_DIR,
    maxBytes: config.FRAMEFLEET_CACHE_MAX_BYTES,
  })
  const scratch = await openScratch(config.FRAMEFLEET_SCRATCH_DIR)
  const files = createJobFiles(media)
  const statuses = createJobStatuses(redis, prefix)
  const sources = createSourceReader(media, cache)
  const registry = createRegistry('producer')

  const boardQueues = (Object.keys(queues) as QueueName[]).map(
    (name) => new Queue(name, { connection: redis, prefix }),
  )
  const queue = (name: QueueName) => boardQueues.find((each) => each.name === name) as Queue
  const flows = new FlowProducer({ connection: prompt, prefix })
  const split = splitWorkload({
    files,
    media,
    models,
    statuses,
    sources,
    scratch,
    redis,
    batchQueue: queue('batch'),
    stitchQueueKey: queue('stitch').qualifiedName,
    workers: config.FRAMEFLEET_PLAN_WORKERS,
  })
  const process = processorOf(split, log)
  const worker = new Worker('split', async (job, token, signal) => await process(job, token, signal), {
    ...workerOptions('split'),
    connection: working,
    prefix,
    concurrency: config.FRAMEFLEET_SPLIT_CONCURRENCY,
  })
  observeWorker(worker, createWorkMetrics(registry), log)
  onFinalFailure(worker, 'split', log, async ({ jobId }, error) => {
    await statuses.halt(jobId, 'failed', { code: 'split-failed', message: error.message })
  })

  const app = await createServer({
    files,
    statuses: createJobStatuses(prompt, prefix),
    isQueued: async (id) => (await prompt.exists(queue('stitch').toKey(entryIds.stitch(id)))) === 1,
    sources,
    models,
    flows,
    media,
    log,
    boardQueues,
    policy: {
      mediaUrl: media.url(''),
      allowed: config.FRAMEFLEET_SOURCE_HOSTS,
    },
    maxSourceBytes: config.FRAMEFLEET_MAX_SOURCE_BYTES,
    health: {
      registry,
      isReady: async () => redis.status === 'ready' && (await media.isReachable()),
    },
    tokens: config.FRAMEFLEET_API_TOKENS,
    boardReadOnly: !config.FRAMEFLEET_BOARD_WRITABLE,
  })
  await app.listen({ host: config.FRAMEFLEET_HOST, port: config.FRAMEFLEET_API_PORT })

  return {
    async drain() {
      await app.close()
      await drainWorker(worker, config.FRAMEFLEET_DRAIN_MS)
    },
    async close() {
      await Promise.all([...boardQueues.map((each) => each.close()), flows.close()])
      await scratch.close()
      redis.disconnect()
      working.disconnect()
      prompt.disconnect()
    },
  }
})
