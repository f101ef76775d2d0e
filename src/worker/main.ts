import { Worker } from 'bullmq'
import { readConfig } from '../shared/config.ts'
import { createDependencyGauge } from '../shared/dependency-gauge.ts'
import { startHealthServer } from '../shared/health-server.ts'
import { createIncidents } from '../shared/incidents.ts'
import { createJobFiles } from '../shared/job-files.ts'
import { createJobStatuses } from '../shared/job-status.ts'
import { runRole } from '../shared/lifecycle.ts'
import { createLogger } from '../shared/log.ts'
import { createLogShipping, processName } from '../shared/log-shipping.ts'
import { createRegistry, createWorkMetrics } from '../shared/metrics.ts'
import { createQuarantine } from '../shared/quarantine.ts'
import { drainWorker, observeWorker, onFinalFailure } from '../shared/queue-worker.ts'
import { openQueue } from '../shared/open-queue.ts'
import { workerOptions } from '../shared/queues.ts'
import { connectRedis } from '../shared/redis.ts'
import { openMedia, openSystem } from '../shared/stores.ts'
import { startTracing } from '../shared/tracing.ts'
import { processorOf } from '../shared/workload.ts'
import { createRates } from '../shared/rates.ts'
import { createWorkerRegistry } from '../shared/worker-registry.ts'
import { createAttendance } from './attendance.ts'
import { createBatchWork, quarantineUnscored } from './batch-workload.ts'
import { committedBatch } from './committed-batch.ts'
import { workerSettings } from './config.ts'
import { createEngineHost } from './engine-host.ts'
import { createCarefulScorer } from './score-with-care.ts'
import { watchScheduledEvents } from './scheduled-events.ts'
import { createMachineMates } from './machine-mates.ts'
import { instanceName, workerId } from './instance-name.ts'
import { measuredHand } from './measured-hand.ts'
import { passOwnCopyBy } from './own-copy.ts'
import { createPace } from './pace.ts'
import { createStateGauge } from './state-gauge.ts'
import { HandWorker, createHands } from './two-hands.ts'
import { createDeviceGauge } from './device-gauge.ts'
import { createGpuGauges } from './gpu-gauges.ts'

const config = readConfig(workerSettings, process.env)
const shipping = createLogShipping('worker', {
  everyMs: config.FRAMEFLEET_LOG_SHIPPING_SECONDS * 1_000,
})
const log = createLogger('worker', config.FRAMEFLEET_LOG_LEVEL, shipping)

const drainMs = config.FRAMEFLEET_DRAIN_MS

/**
 * Claims batches and renews their leases; the scoring itself runs in the engine, a child process (engine-main).
 * Two-step leaving: nothing new is taken; what does not end in time is given back at no cost of an attempt. The fleet's
 * registry is told what it does, and may hold it.
 */
await runRole({ log, shipping, drainMs }, async (leave) => {
  const redis = connectRedis(config, log, { name: 'worker' })
  const registry = createRegistry('worker')
  const tracing = await startTracing('worker', config, log)
  shipping.begin({
    system: openSystem(config),
    instance: processName(config.FRAMEFLEET_INSTANCE),
    log,
    registry,
  })
  const metrics = createWorkMetrics(registry)
  createDependencyGauge(registry, { redis: () => redis.status === 'ready' })
  if (config.FRAMEFLEET_DEVICE !== 'cpu') createGpuGauges(registry, config.FRAMEFLEET_DEVICE_ID)
  const device = createDeviceGauge(registry)
  const prefix = config.FRAMEFLEET_QUEUE_PREFIX
  const statuses = createJobStatuses(redis, prefix)
  const incidents = createIncidents(redis, prefix)
  const quarantineQueue = openQueue('quarantine', { connection: redis, prefix })
  const quarantine = createQuarantine(quarantineQueue)
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
  const openEngine = () =>
    createEngineHost(new URL(`./engine-main.${extension}`, import.meta.url), log, (line) => {
      process.stderr.write(line)
      shipping.take(line)
    })
  const engine = openEngine()
  engine.begin()
  const media = openMedia(config)
  const { spec } = createJobFiles(media)
  const work = createBatchWork({
    ...{ statuses, incidents, quarantine },
    committed: async (batch) => await committedBatch(media, batch),
    score: createCarefulScorer({
      shared: engine,
      openLone: openEngine,
      spec,
      onUnfit(err) {
        log.error({ err }, 'nothing can be scored on this machine: leaving it')
        leave({ why: 'unfit', withinMs: 0 })
      },
      onUnscored: quarantineUnscored({ incidents, quarantine }),
    }),
  })

  const imds = config.FRAMEFLEET_IMDS_URL
  const instance = await instanceName({ given: config.FRAMEFLEET_INSTANCE, imdsUrl: imds })
  const id = workerId(instance)
  const options = {
    ...workerOptions('batch'),
    connection: redis,
    prefix,
    autorun: false,
    // An entry under way says by it who has it.
    name: id,
    // A worker that is held while it waits for work says so only after that.
    drainDelay: 2,
  }
  const pace = createPace()
  const score = measuredHand(
    async (job, token, signal, passOn) =>
      await processorOf(work.workload(passOn), { log, incidents, metrics, tracing })(job, token, signal),
    {
      ...{ pace, rates: createRates(redis, prefix), log },
      onWorked(jobId, ms) {
        statuses
          .worked(jobId, ms)
          .catch((error: Error) => log.debug({ err: error.message }, 'work was not counted'))
      },
      onScored(result) {
        device.note(result)
        attendance.note(result)
      },
    },
  )
  const hands = createHands(
    (process) => new HandWorker('batch', process, { ...options, concurrency: 1, skipStalledCheck: true }),
    async (job, token, signal, passOn) => {
      await passOwnCopyBy(job, token, id)
      return await score(job, token, signal, passOn)
    },
    () => attendance.told(),
  )
  const attendance = createAttendance({
    ...{ registry: createWorkerRegistry(redis, prefix), id, instance, hands, log },
    framesPerSecond: pace.framesPerSecond,
  })
  createStateGauge(registry, hands.state)
  for (const worker of hands.workers) {
    observeWorker(worker, metrics, log)
    onFinalFailure(worker, 'batch', log, work.end)
  }
  // A hand that is closed does not look for stalled work, so a third worker, which takes nothing, does.
  const watch = new Worker('batch', null, options)
  observeWorker(watch, metrics, log)
  const all = [...hands.workers, watch]
  await Promise.all(all.map(async (worker) => await worker.waitUntilReady()))
  await watch.startStalledCheckTimer()

  const health = await startHealthServer(
    {
      registry,
      isReady: async () =>
        redis.status === 'ready' &&
        (hands.state() === 'held' || hands.workers.some((worker) => worker.isRunning())),
    },
    { host: config.FRAMEFLEET_HOST, port: config.FRAMEFLEET_WORKER_PORT },
  )
  let doomed = false
  if (imds !== '') {
    const mates = createMachineMates(redis, prefix)
    const events = watchScheduledEvents(imds, log, {
      onLook: mates.stay,
      onNotice(notice, machine) {
        const { type, withinMs } = notice
        const whenEmpty = async () => {
          if (await mates.leave(machine)) await events.acknowledge(notice)
        }
        const why = `${type} of this machine`
        attendance.leaving(why)
        leave({ why, withinMs, whenEmpty })
      },
    })
    doomed = await events.doomed
  }
  // One on an instance that is held must not take anything before it knows.
  await attendance.open()
  // A worker that is started again on a machine about to go must not take what it can't end.
  if (!doomed) hands.begin()
  return {
    async drain(withinMs, why) {
      attendance.leaving(why)
      hands.stop()
      await Promise.all(all.map(async (worker) => await drainWorker(worker, redis, withinMs)))
    },
    async close() {
      if (redis.status === 'ready') await attendance.leave()
      await engine.close()
      await tracing.close()
      await quarantineQueue.close()
      await health.close()
      redis.disconnect()
    },
  }
})
