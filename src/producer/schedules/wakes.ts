import { type Job, type Queue, Worker } from 'bullmq'
import type { Redis } from 'ioredis'
import pMap from 'p-map'
import { dropQueue } from '../../shared/drop-queue.ts'
import type { Logger } from '../../shared/log.ts'
import type { WorkMetrics } from '../../shared/metrics.ts'
import { openQueue } from '../../shared/open-queue.ts'
import { drainWorker, observeWorker } from '../../shared/queue-worker.ts'
import { queues, workerOptions } from '../../shared/queues.ts'
import type { Chore } from '../chores.ts'
import { clocksDifferMs } from './clock.ts'
import type { Fire } from './fire.ts'
import { ScheduleId, type StoredSchedule } from './schedule.ts'
import type { ScheduleStore } from './schedule-store.ts'

type Now = () => number

export type WakeDeps = {
  store: Pick<ScheduleStore, 'find'>
  fire: Pick<Fire, 'look'>
  log: Logger
  now?: Now
}

const name = 'schedule'
const atOnce = 4
/** A wake that is so much overdue does not come any more. */
const overdueMs = 15_000

/**
 * Takes the wakes of all schedules, from BullMQ's schedulers: each says that a schedule is to be looked at, no more. What is
 * due then is told from Blob, and so is what was missed where no wake came.
 */
export function startWakes(
  { store, fire, log, now = Date.now }: WakeDeps,
  { redis, prefix, metrics }: { redis: Redis; prefix: string; metrics: WorkMetrics },
) {
  const worker = new Worker(
    name,
    async ({ data, timestamp, opts }: Job) => {
      const { success, data: wake } = queues.schedule.payload.safeParse(data)
      const schedule = success ? await store.find(wake.schedule) : undefined
      if (!success || !schedule) return {}
      const planned = timestamp + (opts.delay ?? 0)
      const seen = now()
      // Clocks differ: an entry may be due by Redis' clients before it is by ours.
      await fire.look(
        wake.schedule,
        schedule,
        planned < seen + clocksDifferMs ? Math.max(seen, planned) : seen,
      )
      return {}
    },
    { ...workerOptions(name), connection: redis, prefix, concurrency: 2 },
  )
  observeWorker(worker, metrics, log)
  worker.on('failed', (_job, error) =>
    log.warn({ err: error.message }, 'a schedule could not be looked at when it was due; it will be'),
  )
  return {
    stop: async (withinMs: number) => await drainWorker(worker, redis, withinMs),
  }
}

export type ScheduleChoreDeps = {
  store: Pick<ScheduleStore, 'all' | 'forgetRuns'>
  fire: Pick<Fire, 'look'>
  redis: Redis
  prefix: string
  log: Logger
  now?: Now
}

/**
 * Looks at every schedule, whether or not it was woken, and holds BullMQ's schedulers to what lies in Blob: after Redis was
 * wiped, or its keys broken, they are made anew.
 */
export function schedulesChore(
  { store, fire, redis, prefix, log, now = Date.now }: ScheduleChoreDeps,
  everyMs: number,
): Chore & { close(): Promise<void> } {
  const queue = openQueue(name, { connection: redis, prefix })
  return {
    ...{ name: 'schedules', everyMs },
    async run(signal) {
      const { schedules, left } = await store.all()
      let runs = 0
      await pMap(
        schedules,
        async ({ id, schedule }) => {
          if (signal.aborted) return
          try {
            if ((await fire.look(id, schedule, now())).due) runs++
          } catch (error) {
            // One that fails each time holds nobody back.
            log.warn({ schedule: id, err: (error as Error).message }, 'a schedule could not be looked at')
          }
        },
        { concurrency: atOnce },
      )
      // After that: what is due is told from Blob, whether or not Redis can be told of wakes.
      const set = await holdTo(schedules)
      for (const id of left) await store.forgetRuns(id)
      return { set, runs }
    },
    close: async () => await queue.close(),
  }

  async function holdTo(schedules: { id: string; schedule: StoredSchedule }[]): Promise<number> {
    try {
      const there = await queue.getJobSchedulers(0, -1)
      if (there.every((each) => (each?.next ?? 0) > Date.now() - overdueMs) && !(await queue.isPaused())) {
        const known = new Map(there.map((each) => [each.key, each]))
        const wanted = new Set(schedules.map(({ id }) => id))
        for (const id of known.keys()) if (!wanted.has(id)) await queue.removeJobScheduler(id)
        const missing = schedules.filter(({ id, schedule: { cron, timezone } }) => {
          const has = known.get(id)
          return has?.pattern !== cron || has.tz !== timezone
        })
        return await putAll(missing)
      }
    } catch (error) {
      if (!(error as Error).message.startsWith('WRONGTYPE')) throw error
    }
    log.warn('the queue of the schedules was broken, or stood still: it is made anew')
    await dropQueue(redis, queue)
    return await putAll(schedules)
  }

  /** One that can't be put on holds up none of the others. */
  async function putAll(some: { id: string; schedule: StoredSchedule }[]): Promise<number> {
    let put = 0
    for (const { id, schedule } of some) {
      try {
        await putScheduler(queue, id, schedule)
        put += 1
      } catch (error) {
        if ((error as Error).message.startsWith('WRONGTYPE')) throw error
        log.warn({ schedule: id, err: (error as Error).message }, 'a scheduler could not be set now')
      }
    }
    return put
  }
}

/** Puts a schedule's scheduler on, or changes it; the chore does it where this fails. */
export async function putScheduler(queue: Queue, id: string, { cron, timezone }: StoredSchedule) {
  const { keep } = queues.schedule
  const opts = {
    attempts: 1,
    removeOnComplete: keep.completed,
    removeOnFail: keep.failed,
    stackTraceLimit: 5,
  }
  await queue.upsertJobScheduler(
    ScheduleId.parse(id),
    { pattern: cron, tz: timezone },
    { name, data: { schedule: id }, opts },
  )
}
