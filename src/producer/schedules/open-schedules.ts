import type { Queue } from 'bullmq'
import type { BlobStore } from '../../shared/blob-store.ts'
import type { Logger } from '../../shared/log.ts'
import type { AcceptDeps } from '../accept-job.ts'
import type { ResumeDeps } from '../resume.ts'
import { createFire } from './fire.ts'
import type { ScheduleRoutesDeps } from './schedule-routes.ts'
import { createScheduleStore } from './schedule-store.ts'

type SchedulesDeps = { accept: AcceptDeps; resume: ResumeDeps; system: BlobStore; queue: Queue; log: Logger }

/** Everything that starts jobs by the clock, over the same parts that the API accepts jobs with. */
export function openSchedules({ accept, resume, system, queue, log }: SchedulesDeps): ScheduleRoutesDeps {
  const store = createScheduleStore(system, log)
  return { accept, store, queue, log, fire: createFire({ accept, resume, store, log }) }
}
