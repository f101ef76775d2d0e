import { join } from 'node:path'
import { Registry } from 'prom-client'
import { createAdmission } from '../../src/producer/admission.ts'
import { openFlows } from '../../src/producer/resume.ts'
import { type Arrive, createArrivals } from '../../src/producer/triggers/arrive.ts'
import { createArrivalMetrics } from '../../src/producer/triggers/metrics.ts'
import { openArrivalsQueue } from '../../src/producer/triggers/open-queue.ts'
import { pollChore } from '../../src/producer/triggers/poll.ts'
import { startPulling } from '../../src/producer/triggers/pull.ts'
import { Rules } from '../../src/producer/triggers/rule.ts'
import { createRulesStore } from '../../src/producer/triggers/rules-store.ts'
import { createSetAside } from '../../src/producer/triggers/set-aside.ts'
import { createFileCache } from '../../src/shared/file-cache.ts'
import { createAcceptedOutputs } from '../../src/shared/accepted-outputs.ts'
import { createJobFiles } from '../../src/shared/job-files.ts'
import { layout } from '../../src/shared/layout.ts'
import { builtinModels } from '../../src/shared/models/builtin.ts'
import { createModelStore } from '../../src/shared/models/model-store.ts'
import { openQueue } from '../../src/shared/open-queue.ts'
import { createQuarantine } from '../../src/shared/quarantine.ts'
import { entryIds } from '../../src/shared/queues.ts'
import { createSourceReader } from '../../src/shared/source.ts'
import { silent } from './services.ts'
import type { useServices } from './use-services.ts'

const soon = { leaseSeconds: 3, idleMs: [20, 100] as [number, number], longestWaitSeconds: 1 }

/** What makes jobs of what lands, as a producer has it, over containers and keys of its own. */
export async function startArrivals(
  services: ReturnType<typeof useServices>,
  { dir, clientJobs = 100 }: { dir: string; clientJobs?: number },
) {
  const [media, system] = [await services.container(), await services.container()]
  const [prefix, redis] = [services.prefix(), services.connect()]
  const outputs = createAcceptedOutputs(await services.container())
  const files = createJobFiles(media, outputs)
  const models = createModelStore(system)
  for (const { manifest, bytes } of builtinModels()) await models.put(manifest, bytes)
  const flows = openFlows(redis, { prefix, files, log: silent })
  const quarantineQueue = openQueue('quarantine', { connection: redis, prefix })
  const quarantine = createQuarantine(quarantineQueue)
  const accept = {
    ...{ ...flows, outputs, media, models, maxSourceBytes: 1e9 },
    admit: createAdmission(flows.backlog, { clientFrames: 1e6, clientJobs, frames: 1e6 }),
    sources: createSourceReader(media, createFileCache({ dir: join(dir, 'cache'), maxBytes: 1e9 })),
    isQueued: async (id: string) =>
      (await redis.exists(flows.queues.stitch.toKey(entryIds.stitch(id)))) === 1,
    policy: { mediaUrl: media.url(''), allowed: [] },
  }
  const rules = createRulesStore(system)
  const metrics = createArrivalMetrics(new Registry())
  const setAside = createSetAside(quarantine)
  const arrive = createArrivals({ accept, media, rules, setAside, metrics, log: silent })
  const parts = { media, system, arrive, setAside, metrics, log: silent }
  const signal = new AbortController().signal
  const counted = async () =>
    Object.fromEntries(
      (await metrics.arrivals.get()).values.map(({ labels, value }) => [
        `${labels.way} ${labels.outcome}`,
        value,
      ]),
    )
  return {
    ...{ redis, media, system, accept, arrive, rules, quarantine, files, flows },
    /** Another producer that takes from this queue. */
    pull: (setting: string, pace: object = {}, arrive: Arrive = parts.arrive) =>
      startPulling(
        { ...parts, arrive, queue: openArrivalsQueue(setting), nameOf: media.nameOf },
        { ...soon, ...pace },
      ),
    look: async (options?: Parameters<typeof pollChore>[2]) =>
      await pollChore(parts, 1_000, options).run(signal),
    setRules: async (some: unknown[], more: object = {}) =>
      await rules.set(Rules.parse({ rules: some, ...more })),
    /** Puts a blob there that passes for a video until it is read. */
    land: async (name: string, bytes = 1_000) => {
      await media.write(name, Buffer.alloc(bytes, name))
      return media.url(name)
    },
    /** The jobs that were started: their source's name, and its version. */
    async jobs() {
      const found = []
      for await (const { name } of media.list(layout.jobs)) {
        const spec = name.endsWith('/job.json') && (await files.findSpec(name.split('/')[1] ?? ''))
        if (spec) found.push({ id: spec.id, source: media.nameOf(spec.source.url), etag: spec.source.etag })
      }
      return found
    },
    counted,
    /** How often it came to this, by whoever said that a blob landed. */
    async times(what: string): Promise<number> {
      return (await counted())[what] ?? 0
    },
    waits: async () => (await metrics.waits.get()).values.reduce((sum, { value }) => sum + value, 0),
    async close() {
      await quarantineQueue.close()
      await flows.close()
    },
  }
}
