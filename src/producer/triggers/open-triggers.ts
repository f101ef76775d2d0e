import type { Registry } from 'prom-client'
import type { BlobStore } from '../../shared/blob-store.ts'
import { InputError } from '../../shared/errors.ts'
import type { Logger } from '../../shared/log.ts'
import type { Quarantine, StoredRecord } from '../../shared/quarantine.ts'
import type { AcceptDeps } from '../accept-job.ts'
import type { Chore } from '../chores.ts'
import { createArrivals } from './arrive.ts'
import { createArrivalMetrics } from './metrics.ts'
import { openArrivalsQueue } from './open-queue.ts'
import { pollChore } from './poll.ts'
import { startPulling } from './pull.ts'
import { createRulesStore } from './rules-store.ts'
import { createSetAside } from './set-aside.ts'
import type { EventRoutesDeps } from './event-routes.ts'
import type { TriggerRoutesDeps } from './trigger-routes.ts'

export type TriggersDeps = {
  accept: AcceptDeps
  system: Pick<BlobStore, 'read' | 'writeJson'>
  quarantine: Pick<Quarantine, 'put'>
  registry: Registry
  log: Logger
}

export type Triggers = TriggerRoutesDeps &
  EventRoutesDeps & {
    /** Takes what is on the queue that the setting names, until stopped. */
    pull(setting: string): { stop(): Promise<void> }
    poll(everyMs: number): Chore
    /** Says once more that the blob of a record landed; answers its job's id. Throws InputError where it starts none. */
    again(record: StoredRecord): Promise<string>
  }

/** Everything that makes jobs of what lands, over the same parts that the API accepts jobs with. */
export function openTriggers({ accept, system, quarantine, registry, log }: TriggersDeps): Triggers {
  const { media } = accept
  const rules = createRulesStore(system)
  const setAside = createSetAside(quarantine)
  const metrics = createArrivalMetrics(registry)
  const arrive = createArrivals({ accept, media, rules, setAside, metrics, log })
  return {
    ...{ accept, media, rules, arrive },
    pull: (setting) =>
      startPulling({
        queue: openArrivalsQueue(setting),
        nameOf: media.nameOf,
        ...{ arrive, setAside, metrics, log },
      }),
    poll: (everyMs) => pollChore({ media, system, arrive, setAside, metrics, log }, everyMs),
    async again({ id, reason, payload }) {
      if (reason === 'unreadable')
        throw new InputError('not-retryable', `The record ${id} names no blob; it can only be dropped.`)
      const arrival = await arrive([payload], { way: 'retry' })
      if ('jobId' in arrival) return arrival.jobId
      const why = 'why' in arrival ? arrival.why : 'message' in arrival ? arrival.message : 'it is gone'
      throw new InputError('not-retryable', `${payload} starts no job: ${why}`)
    },
  }
}
