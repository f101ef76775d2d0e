import { Worker } from 'bullmq'
import { readConfig } from '../shared/config.ts'
import { startHealthServer } from '../shared/health-server.ts'
import { createJobStatuses } from '../shared/job-status.ts'
import { runRole } from '../shared/lifecycle.ts'
import { createLogger } from '../shared/log.ts'
import { createRegistry, createWorkMetrics } from '../shared/metrics.ts'
import { drainWorker, observeWorker, onFinalFailure } from '../shared/queue-worker.ts'
import { workerOptions } from '../shared/queues.ts'
import { connectRedis } from '../shared/redis.ts'
import { batchFailure } from './batch-failure.ts'
import { workerSettings } from './config.ts'

const config = readConfig(workerSettings, process.env)
const log = createLogger('worker', config.FRAMEFLEET_LOG_LEVEL)

/**
 * Claims batches and renews their leases; the scoring itself runs in the engine, a child process (engine-main).
 * Two-step leaving: nothing new is taken; what does not end in time is given back at no cost of an attempt.
 */
await runRole(log, config.FRAMEFLEET_DRAIN_MS, async () => {
  const redis = connectRedis(config.FRAMEFLEET_REDIS_URL, log, { name: 'worker' })
  const registry = createRegistry('worker')
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
  const worker = new Worker('batch', new URL(`./engine-main.${extension}`, import.meta.url), {
    ...workerOptions('batch'),
    connection: redis,
    prefix: config.FRAMEFLEET_QUEUE_PREFIX,
    concurrency: 1,
    name: `worker-${process.pid}`,
  })
  observeWorker(worker, createWorkMetrics(registry), log)
  const statuses = createJobStatuses(redis, config.FRAMEFLEET_QUEUE_PREFIX)
  onFinalFailure(worker, 'batch', log, ({ jobId, index }, error) =>
    statuses.halt(jobId, 'failed', batchFailure(index, error)),
  )
  await worker.waitUntilReady()
  const health = await startHealthServer(
    { registry, isReady: async () => redis.status === 'ready' && worker.isRunning() },
    { host: config.FRAMEFLEET_HOST, port: config.FRAMEFLEET_WORKER_PORT },
  )
  return {
    async drain() {
      await drainWorker(worker, config.FRAMEFLEET_DRAIN_MS)
    },
    async close() {
      await health.close()
      redis.disconnect()
    },
  }
})
