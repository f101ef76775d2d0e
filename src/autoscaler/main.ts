import { createBacklog } from '../shared/backlog.ts'
import { readConfig } from '../shared/config.ts'
import { createFleetSettings, fleetBounds } from '../shared/fleet-settings.ts'
import { createDependencyGauge } from '../shared/dependency-gauge.ts'
import { startHealthServer } from '../shared/health-server.ts'
import { azureCredential } from '../shared/identity.ts'
import { createJobStatuses } from '../shared/job-status.ts'
import { runRole } from '../shared/lifecycle.ts'
import { createLogger } from '../shared/log.ts'
import { createLogShipping, processName } from '../shared/log-shipping.ts'
import { createRegistry, createWorkMetrics } from '../shared/metrics.ts'
import { openQueue } from '../shared/open-queue.ts'
import { createRates } from '../shared/rates.ts'
import { connectRedis } from '../shared/redis.ts'
import { openSystem } from '../shared/stores.ts'
import { createWorkerRegistry } from '../shared/worker-registry.ts'
import { autoscalerSettings } from './config.ts'
import { localDir } from './fleets/local-settings.ts'
import { createLocalFleet } from './fleets/local.ts'
import { createVmssFleet } from './fleets/vmss.ts'
import { createFleetMetrics } from './metrics.ts'
import { createTick } from './tick.ts'
import { startTurns } from './turns.ts'

const config = readConfig(autoscalerSettings, process.env)
const shipping = createLogShipping('autoscaler', {
  everyMs: config.FRAMEFLEET_LOG_SHIPPING_SECONDS * 1_000,
})
const log = createLogger('autoscaler', config.FRAMEFLEET_LOG_LEVEL, shipping)

const drainMs = config.FRAMEFLEET_DRAIN_MS
await runRole({ log, shipping, drainMs }, async () => {
  const prefix = config.FRAMEFLEET_QUEUE_PREFIX
  const redis = connectRedis(config, log, { name: 'autoscaler' })
  const bounds = fleetBounds(config)
  const system = openSystem(config)
  const registry = createRegistry('autoscaler')
  shipping.begin({ system, instance: processName(), log, registry })
  const metrics = createFleetMetrics(registry)
  createDependencyGauge(registry, { redis: () => redis.status === 'ready' })
  const batches = openQueue('batch', { connection: redis, prefix })
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
  const fleet =
    config.FRAMEFLEET_FLEET === 'vmss'
      ? createVmssFleet({
          vmssId: config.FRAMEFLEET_VMSS_ID,
          endpoint: config.FRAMEFLEET_ARM_URL,
          credential: azureCredential(),
          log,
        })
      : createLocalFleet({
          dir: localDir(config),
          main: new URL(`../worker/main.${extension}`, import.meta.url),
          env: process.env,
          stopMs: config.FRAMEFLEET_DRAIN_MS + 5_000,
          log,
        })
  const tick = createTick({
    ...{ redis, prefix, fleet, metrics, log },
    settings: createFleetSettings(system, bounds, log),
    registry: createWorkerRegistry(redis, prefix),
    demand: {
      backlog: createBacklog(redis, prefix),
      statuses: createJobStatuses(redis, prefix),
      rates: createRates(redis, prefix),
      batches,
    },
    backlogSeconds: config.FRAMEFLEET_BACKLOG_SECONDS,
    startSeconds: config.FRAMEFLEET_START_SECONDS,
    workersPerInstance: config.FRAMEFLEET_WORKERS_PER_INSTANCE,
    clientShare: config.FRAMEFLEET_CLIENT_SHARE,
    handSizeMs: config.FRAMEFLEET_HAND_SIZE_MINUTES * 60_000,
  })
  const turns = await startTurns({
    ...{ redis, prefix, log, take: tick },
    everyMs: config.FRAMEFLEET_TICK_SECONDS * 1_000,
    metrics: createWorkMetrics(registry),
  })
  const health = await startHealthServer(
    { registry, isReady: async () => redis.status === 'ready' && turns.isRunning() },
    { host: config.FRAMEFLEET_HOST, port: config.FRAMEFLEET_AUTOSCALER_PORT },
  )
  return {
    async drain(withinMs) {
      await turns.stop(withinMs)
      await fleet.close()
    },
    async close() {
      await batches.close()
      await health.close()
      redis.disconnect()
    },
  }
})
