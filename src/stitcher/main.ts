import { Worker } from 'bullmq'
import { createAcceptedOutputs } from '../shared/accepted-outputs.ts'
import { openMedia, openPrivate, openSystem } from '../shared/stores.ts'
import { readConfig } from '../shared/config.ts'
import { createFileCache } from '../shared/file-cache.ts'
import { createDependencyGauge } from '../shared/dependency-gauge.ts'
import { startHealthServer } from '../shared/health-server.ts'
import { createIncidents } from '../shared/incidents.ts'
import { createJobFiles } from '../shared/job-files.ts'
import { createJobStatuses } from '../shared/job-status.ts'
import { runRole } from '../shared/lifecycle.ts'
import { createLogger } from '../shared/log.ts'
import { createLogShipping, processName } from '../shared/log-shipping.ts'
import { createRegistry, createWorkMetrics } from '../shared/metrics.ts'
import { openQueue } from '../shared/open-queue.ts'
import { drainWorker, observeWorker, onFinalFailure } from '../shared/queue-worker.ts'
import { workerOptions } from '../shared/queues.ts'
import { connectRedis } from '../shared/redis.ts'
import { openScratch } from '../shared/scratch.ts'
import { createSourceReader } from '../shared/source.ts'
import { startTracing } from '../shared/tracing.ts'
import { processorOf } from '../shared/workload.ts'
import { stitcherSettings } from './config.ts'
import { createJobMetrics, summaryOf } from './job-metrics.ts'
import { stitchWorkload } from './stitch.ts'
import { createTimelines } from './timeline.ts'

const config = readConfig(stitcherSettings, process.env)
const shipping = createLogShipping('stitcher', {
  everyMs: config.FRAMEFLEET_LOG_SHIPPING_SECONDS * 1_000,
})
const log = createLogger('stitcher', config.FRAMEFLEET_LOG_LEVEL, shipping)

const drainMs = config.FRAMEFLEET_DRAIN_MS
await runRole({ log, shipping, drainMs }, async () => {
  const prefix = config.FRAMEFLEET_QUEUE_PREFIX
  const redis = connectRedis(config, log, { name: 'stitcher' })
  const media = openMedia(config)
  const outputs = createAcceptedOutputs(openPrivate(config))
  const scratch = await openScratch(config.FRAMEFLEET_SCRATCH_DIR)
  const registry = createRegistry('stitcher')
  const tracing = await startTracing('stitcher', config, log)
  shipping.begin({ system: openSystem(config), instance: processName(), log, registry })
  const statuses = createJobStatuses(redis, prefix)
  const incidents = createIncidents(redis, prefix)
  const cache = createFileCache({
    dir: config.FRAMEFLEET_CACHE_DIR,
    maxBytes: config.FRAMEFLEET_CACHE_MAX_BYTES,
  })
  const batches = openQueue('batch', { connection: redis, prefix })
  const ended = createJobMetrics(registry)
  const files = createJobFiles(media, outputs)
  const stitch = stitchWorkload({
    onEnded(report) {
      ended.note(report)
      log.info(summaryOf(report), 'job ended')
    },
    files,
    outputs,
    statuses,
    incidents,
    media,
    scratch,
    log,
    keepTimeline: createTimelines({ redis, batchKey: (entry) => batches.toKey(entry), media, files }),
    sources: createSourceReader(media, cache),
  })
  const metrics = createWorkMetrics(registry)
  createDependencyGauge(registry, {
    redis: () => redis.status === 'ready',
    media: async () => await media.isReachable(),
  })
  const process = processorOf(stitch, { log, incidents, metrics, tracing })
  const worker = new Worker('stitch', async (job, token, signal) => await process(job, token, signal), {
    ...workerOptions('stitch'),
    connection: redis,
    prefix,
    concurrency: config.FRAMEFLEET_STITCH_CONCURRENCY,
  })
  observeWorker(worker, metrics, log)
  // Storage may be gone for longer than all attempts last; the job ends all the same.
  onFinalFailure(worker, 'stitch', log, ({ jobId }, error) =>
    statuses.end(jobId, 'failed', { errorCode: 'stitch-failed', error: error.message }),
  )
  await worker.waitUntilReady()
  const health = await startHealthServer(
    { registry, isReady: async () => redis.status === 'ready' && (await media.isReachable()) },
    { host: config.FRAMEFLEET_HOST, port: config.FRAMEFLEET_STITCHER_PORT },
  )
  return {
    async drain(withinMs) {
      await drainWorker(worker, redis, withinMs)
    },
    async close() {
      await health.close()
      await tracing.close()
      await scratch.close()
      await batches.close()
      redis.disconnect()
    },
  }
})
