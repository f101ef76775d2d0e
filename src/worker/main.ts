import { type Job, Worker } from 'bullmq'
import { readConfig } from '../shared/config.ts'
import { startHealthServer } from '../shared/health-server.ts'
import { createJobStatuses } from '../shared/job-status.ts'
import { runRole } from '../shared/lifecycle.ts'
import { createLogger } from '../shared/log.ts'
import { createRegistry, createWorkMetrics } from '../shared/metrics.ts'
import { drainWorker, observeWorker, onFinalFailure } from '../shared/queue-worker.ts'
import { workerOptions } from '../shared/queues.ts'
import { connectRedis } from '../shared/redis.ts'
import { processorOf } from '../shared/workload.ts'
import { batchFailure } from './batch-failure.ts'
import { workerSettings } from './config.ts'
import { createEngineHost } from './engine-host.ts'
import { createHands } from './two-hands.ts'
import { createDeviceGauge } from './device-gauge.ts'

const config = readConfig(workerSettings, process.env)
const log = createLogger('worker', config.FRAMEFLEET_LOG_LEVEL)

/**
 * Claims batches and renews their leases; the scoring itself runs in the engine, a child process (engine-main).
 * Two-step leaving: nothing new is taken; what does not end in time is given back at no cost of an attempt.
 */
await runRole(log, config.FRAMEFLEET_DRAIN_MS, async () => {
  const redis = connectRedis(config.FRAMEFLEET_REDIS_URL, log, { name: 'worker' })
  const registry = createRegistry('worker')
  const metrics = createWorkMetrics(registry)
  const device = createDeviceGauge(registry)
  const statuses = createJobStatuses(redis, config.FRAMEFLEET_QUEUE_PREFIX)
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
  const engine = createEngineHost(new URL(`./engine-main.${extension}`, import.meta.url), log)

  const options = {
    ...workerOptions('batch'),
    connection: redis,
    prefix: config.FRAMEFLEET_QUEUE_PREFIX,
    autorun: false,
    name: `worker-${process.pid}`,
  }
  const hands = createHands(
    (process) => new Worker('batch', process, { ...options, concurrency: 1, skipStalledCheck: true }),
    async (job, token, signal, passOn) => {
      const scored = processorOf(
        {
          queue: 'batch',
          process: async (batch, context) =>
            await engine.score(batch, {
              signal: context.signal,
              again: context.again,
              fields: { queue: 'batch', entry: job.id, attempt: context.attempt },
              onDecoded: passOn,
            }),
          onTerminalFailure: async ({ jobId, index }, error) => {
            await statuses.halt(jobId, 'failed', batchFailure(index, error))
          },
        },
        log,
      )
      return await scored(job, token, signal)
    },
  )
  for (const worker of hands.workers) {
    observeWorker(worker, metrics, log)
    worker.on('completed', (_job: Job, result) => device.note(result))
    onFinalFailure(worker, 'batch', log, ({ jobId, index }, error) =>
      statuses.halt(jobId, 'failed', batchFailure(index, error)),
    )
  }
  // A hand that is closed does not look for stalled work, so a third worker, which takes nothing, does.
  const watch = new Worker('batch', null, options)
  observeWorker(watch, metrics, log)
  const all = [...hands.workers, watch]
  await Promise.all(all.map(async (worker) => await worker.waitUntilReady()))
  await watch.startStalledCheckTimer()
  engine.begin()
  hands.begin()

  const health = await startHealthServer(
    {
      registry,
      isReady: async () => redis.status === 'ready' && hands.workers.some((worker) => worker.isRunning()),
    },
    { host: config.FRAMEFLEET_HOST, port: config.FRAMEFLEET_WORKER_PORT },
  )
  return {
    async drain() {
      hands.stop()
      await Promise.all(all.map(async (worker) => await drainWorker(worker, config.FRAMEFLEET_DRAIN_MS)))
    },
    async close() {
      await engine.close()
      await health.close()
      redis.disconnect()
    },
  }
})
