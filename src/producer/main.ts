import { type Queue, Worker } from 'bullmq'
import { connectAccount } from '../shared/blob-store.ts'
import { readConfig } from '../shared/config.ts'
import { createAcceptedOutputs } from '../shared/accepted-outputs.ts'
import { openMedia, openPrivate, openSystem } from '../shared/stores.ts'
import { createFileCache } from '../shared/file-cache.ts'
import { createFleetSettings, fleetBounds } from '../shared/fleet-settings.ts'
import { readFleetView } from '../shared/fleet-view.ts'
import { createDependencyGauge } from '../shared/dependency-gauge.ts'
import { startHealthServer } from '../shared/health-server.ts'
import { createJobFiles } from '../shared/job-files.ts'
import { createLinks } from '../shared/links.ts'
import { runRole } from '../shared/lifecycle.ts'
import { createLogger } from '../shared/log.ts'
import { createLogShipping, processName } from '../shared/log-shipping.ts'
import { createRegistry, createWorkMetrics } from '../shared/metrics.ts'
import { createModelStore } from '../shared/models/model-store.ts'
import { shippedModels } from '../shared/models/shipped.ts'
import { createQuarantine } from '../shared/quarantine.ts'
import { openQueue } from '../shared/open-queue.ts'
import { type AnyQueueName, entryIds, queues, workerOptions } from '../shared/queues.ts'
import { createRates } from '../shared/rates.ts'
import { connectRedis } from '../shared/redis.ts'
import { openScratch } from '../shared/scratch.ts'
import { createSourceReader } from '../shared/source.ts'
import { drainWorker, observeWorker, onFinalFailure } from '../shared/queue-worker.ts'
import { createWorkerRegistry } from '../shared/worker-registry.ts'
import { startTracing } from '../shared/tracing.ts'
import { processorOf } from '../shared/workload.ts'
import { readAccess } from './access.ts'
import { createAdmission } from './admission.ts'
import { allowBrowsers } from './browser-uploads.ts'
import { startChores } from './chores.ts'
import { producerSettings } from './config.ts'
import { createIndexer } from './indexer.ts'
import { janitorChore } from './janitor.ts'
import { logJanitorChore } from './log-janitor.ts'
import { reconcileChore } from './reconcile.ts'
import { keepOrderChore } from './keep-order.ts'
import { openFlows, resumeJob } from './resume.ts'
import { createQueueGauges } from './queue-gauges.ts'
import { openSchedules } from './schedules/open-schedules.ts'
import { schedulesChore, startWakes } from './schedules/wakes.ts'
import { createServer } from './server.ts'
import { speculateChore } from './speculate.ts'
import { splitWorkload } from './split.ts'
import { tidyOutputsChore } from './tidy-outputs.ts'
import { createSweeper } from './sweep-queues.ts'
import { createReadingsBuffer } from './readings/readings-buffer.ts'
import { openTriggers } from './triggers/open-triggers.ts'

const config = readConfig(producerSettings, process.env)
const shipping = createLogShipping('producer', {
  everyMs: config.FRAMEFLEET_LOG_SHIPPING_SECONDS * 1_000,
})
const log = createLogger('producer', config.FRAMEFLEET_LOG_LEVEL, shipping)

const access = readAccess(config, log)
const drainMs = config.FRAMEFLEET_DRAIN_MS
await runRole({ log, shipping, drainMs }, async () => {
  const prefix = config.FRAMEFLEET_QUEUE_PREFIX
  const redis = connectRedis(config, log, { name: 'producer' })
  const working = connectRedis(config, log, { name: 'producer-work' })
  // People wait for the API's answers: where Redis is away it says so instead of waiting with them.
  const prompt = connectRedis(config, log, { name: 'producer-api', patient: false })
  const media = openMedia(config)
  const hidden = openPrivate(config)
  const outputs = createAcceptedOutputs(hidden)
  const system = openSystem(config)
  const registry = createRegistry('producer')
  const tracing = await startTracing('producer', config, log)
  shipping.begin({ system, instance: processName(), log, registry })
  await Promise.all([media, hidden, system].map(async (store) => await store.ensureContainer()))
  const models = createModelStore(system)
  for (const { manifest, bytes, picture } of await shippedModels())
    await models.put(manifest, bytes, undefined, picture)

  const cache = createFileCache({
    dir: config.FRAMEFLEET_CACHE_DIR,
    maxBytes: config.FRAMEFLEET_CACHE_MAX_BYTES,
  })
  const scratch = await openScratch(config.FRAMEFLEET_SCRATCH_DIR)
  const files = createJobFiles(media, outputs)
  const sources = createSourceReader(media, cache)

  const boardQueues = (Object.keys(queues) as AnyQueueName[]).map((name) =>
    openQueue(name, { connection: redis, prefix }),
  )
  const queue = (name: AnyQueueName) => boardQueues.find((each) => each.name === name) as Queue
  const quarantine = createQuarantine(queue('quarantine'))
  const shownQuarantine = openQueue('quarantine', { connection: prompt, prefix })
  const share = config.FRAMEFLEET_CLIENT_SHARE
  const patient = openFlows(redis, { prefix, files, log, share })
  const hasty = openFlows(prompt, { prefix, files, log, share })
  const indexer = createIndexer()
  const policy = { mediaUrl: media.url(''), allowed: config.FRAMEFLEET_SOURCE_HOSTS }
  const split = splitWorkload({
    policy,
    maxSourceBytes: config.FRAMEFLEET_MAX_SOURCE_BYTES,
    index: indexer.index,
    files,
    media,
    models,
    statuses: patient.statuses,
    sources,
    scratch,
    redis,
    queues: patient.queues,
    order: patient.order,
    cut: { workers: config.FRAMEFLEET_PLAN_WORKERS, pace: config.FRAMEFLEET_PLAN_FRAMES_PER_SECOND },
  })
  const metrics = createWorkMetrics(registry)
  createDependencyGauge(registry, {
    redis: () => redis.status === 'ready',
    media: async () => await media.isReachable(),
    system: async () => await system.isReachable(),
  })
  const process = processorOf(split, { log, incidents: patient.incidents, metrics, tracing })
  const worker = new Worker('split', async (job, token, signal) => await process(job, token, signal), {
    ...workerOptions('split'),
    connection: working,
    prefix,
    concurrency: config.FRAMEFLEET_SPLIT_CONCURRENCY,
  })
  observeWorker(worker, metrics, log)
  onFinalFailure(worker, 'split', log, async ({ jobId }, error) => {
    await patient.statuses.halt(jobId, 'failed', { code: 'split-failed', message: error.message })
  })

  createQueueGauges(registry, {
    queues: { ...hasty.queues, quarantine: shownQuarantine },
    ...{ backlog: hasty.backlog, statuses: hasty.statuses },
    workers: createWorkerRegistry(prompt, prefix),
    hourPrice: config.FRAMEFLEET_WORKER_HOUR_PRICE,
  })
  const isReady = async () => redis.status === 'ready' && (await media.isReachable())
  const mediaService = connectAccount(config.FRAMEFLEET_MEDIA_ACCOUNT)
  const accept = {
    tracing,
    ...{ media, files, outputs, sources, models, log },
    ...{ statuses: hasty.statuses, backlog: hasty.backlog, flows: hasty.flows, order: hasty.order },
    admit: createAdmission(hasty.backlog, {
      clientFrames: config.FRAMEFLEET_MAX_QUEUED_FRAMES_PER_CLIENT,
      clientJobs: config.FRAMEFLEET_MAX_OPEN_JOBS_PER_CLIENT,
      frames: config.FRAMEFLEET_MAX_QUEUED_FRAMES,
    }),
    isQueued: async (id: string) => (await prompt.exists(queue('stitch').toKey(entryIds.stitch(id)))) === 1,
    policy,
    maxSourceBytes: config.FRAMEFLEET_MAX_SOURCE_BYTES,
  }
  const hastyQuarantine = createQuarantine(shownQuarantine)
  const triggers = openTriggers({ accept, system, quarantine: hastyQuarantine, registry, log })
  const schedules = openSchedules({
    ...{ accept, resume: hasty, system, log },
    queue: openQueue('schedule', { connection: prompt, prefix }),
  })
  const app = await createServer({
    ...accept,
    ...{ system, registry, triggers, schedules },
    resume: hasty,
    quarantine: hastyQuarantine,
    runAgain: async (id) => await resumeJob(hasty, id, { again: true }),
    landAgain: triggers.again,
    fleet: {
      settings: createFleetSettings(system, fleetBounds(config), log),
      workers: createWorkerRegistry(prompt, prefix),
      rates: createRates(prompt, prefix),
      view: async () => await readFleetView(prompt, prefix),
    },
    batches: {
      ...{ files, media, redis: prompt, statuses: hasty.statuses, incidents: hasty.incidents },
      batchKey: (entry) => queue('batch').toKey(entry),
    },
    readings: {
      buffer: createReadingsBuffer(media, {
        instance: processName(),
        graceMs: config.FRAMEFLEET_READINGS_GRACE_MINUTES * 60_000,
      }),
    },
    hourPrice: config.FRAMEFLEET_WORKER_HOUR_PRICE || undefined,
    maxRequestsPerSecond: config.FRAMEFLEET_MAX_REQUESTS_PER_SECOND,
    boardQueues,
    isReady,
    ...access,
    docsOpen: config.FRAMEFLEET_API_DOCS_OPEN,
    links: createLinks(mediaService, config.FRAMEFLEET_MEDIA_CONTAINER, log, {
      publicUrl: config.FRAMEFLEET_MEDIA_PUBLIC_URL,
      minutes: config.FRAMEFLEET_LINK_MINUTES,
    }),
    boardReadOnly: !config.FRAMEFLEET_BOARD_WRITABLE,
  })
  await app.listen({ host: config.FRAMEFLEET_HOST, port: config.FRAMEFLEET_API_PORT })
  const health = await startHealthServer(
    { registry, isReady },
    { host: config.FRAMEFLEET_HOST, port: config.FRAMEFLEET_PRODUCER_PORT },
  )
  const origins = ['127.0.0.1', 'localhost'].map((host) => `http://${host}:${config.FRAMEFLEET_API_PORT}`)
  await allowBrowsers(mediaService, origins, log)
  const pulling = config.FRAMEFLEET_ARRIVALS_QUEUE && triggers.pull(config.FRAMEFLEET_ARRIVALS_QUEUE)
  const pollMs = config.FRAMEFLEET_ARRIVALS_POLL_SECONDS * 1_000
  const wakes = startWakes(schedules, { redis: working, prefix, metrics })
  const scheduling = schedulesChore(
    { ...schedules, redis, prefix },
    config.FRAMEFLEET_RECONCILE_SECONDS * 1_000,
  )
  const chores = startChores({
    ...{ redis, prefix, log },
    chores: [
      ...(pollMs > 0 ? [triggers.poll(pollMs)] : []),
      createSweeper({
        ...{ redis, prefix, quarantine, log },
        heal: async (id) => await resumeJob(patient, id),
        openJobs: files.openJobs,
      }),
      speculateChore({ redis, prefix, batches: queue('batch'), order: patient.order, registry, log }),
      keepOrderChore({ redis, prefix, share, order: patient.order }),
      scheduling,
      reconcileChore(patient, config.FRAMEFLEET_RECONCILE_SECONDS * 1_000),
      logJanitorChore(system, {
        everyMs: config.FRAMEFLEET_JANITOR_MINUTES * 60_000,
        keepDays: config.FRAMEFLEET_KEEP_LOGS_DAYS,
      }),
      janitorChore(
        { ...patient, media },
        {
          everyMs: config.FRAMEFLEET_JANITOR_MINUTES * 60_000,
          keepDays: config.FRAMEFLEET_KEEP_JOBS_DAYS,
          keepFramesDays: config.FRAMEFLEET_KEEP_FRAMES_DAYS,
        },
      ),
      tidyOutputsChore({ media, hidden }, { everyMs: config.FRAMEFLEET_JANITOR_MINUTES * 60_000 }),
    ],
  })

  return {
    async drain(withinMs) {
      await Promise.all([chores.stop(), pulling && pulling.stop(), app.close()])
      await Promise.all([drainWorker(worker, working, withinMs), wakes.stop(withinMs)])
    },
    async close() {
      await Promise.all(
        [...boardQueues, shownQuarantine, schedules.queue, scheduling, patient, hasty].map(
          async (each) => await each.close(),
        ),
      )
      await indexer.close()
      await health.close()
      await tracing.close()
      await scratch.close()
      redis.disconnect()
      working.disconnect()
      prompt.disconnect()
    },
  }
})
