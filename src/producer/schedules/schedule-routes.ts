import type { Queue } from 'bullmq'
import type { FastifyInstance } from 'fastify'
import type { ZodTypeProvider } from 'fastify-type-provider-zod'
import pMap from 'p-map'
import { z } from 'zod'
import { InputError } from '../../shared/errors.ts'
import type { Logger } from '../../shared/log.ts'
import { type AcceptDeps, checkJob, checkSource, mostRequestBytes } from '../accept-job.ts'
import { Problem } from '../problem.ts'
import { latestRun, nextRun } from './clock.ts'
import type { Fire } from './fire.ts'
import { Run, Schedule, ScheduleId, type StoredSchedule } from './schedule.ts'
import type { ScheduleStore } from './schedule-store.ts'
import { requestOf } from './template.ts'
import { putScheduler } from './wakes.ts'

export type ScheduleRoutesDeps = {
  accept: AcceptDeps
  store: ScheduleStore
  fire: Fire
  queue: Queue
  log: Logger
  now?: () => number
}

const shown = {
  id: ScheduleId,
  ...Schedule.shape,
  since: z.iso.datetime().describe('when its times began to count'),
  nextRun: z.iso.datetime(),
  lastRun: Run.nullable(),
}
const ScheduleView = z.object(shown).meta({ id: 'ScheduleView' })
const ScheduleHistory = z
  .object({ ...shown, runs: z.array(Run).describe('newest first, the last hundred') })
  .meta({ id: 'ScheduleHistory' })
const Params = z.object({ id: ScheduleId })
const tags = ['schedules']
const errors = { 400: Problem, 401: Problem, 403: Problem }
const atOnce = 8

/** `/v1/schedules`: jobs that are started by the clock. */
export function addScheduleRoutes(
  root: FastifyInstance,
  { accept, store, fire, queue, log, now = Date.now }: ScheduleRoutesDeps,
): void {
  const app = root.withTypeProvider<ZodTypeProvider>()

  function view(id: string, schedule: StoredSchedule, runs: Run[]) {
    const next = new Date(nextRun(schedule, now())).toISOString()
    return { id, ...schedule, nextRun: next, lastRun: runs.at(-1) ?? null }
  }

  async function known(id: string): Promise<StoredSchedule> {
    const schedule = await store.find(id)
    if (schedule) return schedule
    throw new InputError('schedule-unknown', `There is no schedule ${id}.`)
  }

  app.get(
    '/v1/schedules',
    {
      config: { role: 'Job.Read' },
      schema: {
        tags,
        summary: 'Jobs that are started by the clock',
        response: { 200: z.object({ schedules: z.array(ScheduleView) }), ...errors },
      },
    },
    async () => {
      const { schedules } = await store.all()
      const views = await pMap(
        schedules,
        async ({ id, schedule }) => view(id, schedule, await store.runsOf(id)),
        { concurrency: atOnce },
      )
      return { schedules: views }
    },
  )

  app.get(
    '/v1/schedules/:id',
    {
      config: { role: 'Job.Read' },
      schema: {
        tags,
        summary: 'A schedule, and its runs',
        params: Params,
        response: { 200: ScheduleHistory, 404: Problem, ...errors },
      },
    },
    async ({ params: { id } }) => {
      const schedule = await known(id)
      const runs = await store.runsOf(id)
      return { ...view(id, schedule, runs), runs: runs.toReversed() }
    },
  )

  app.put(
    '/v1/schedules/:id',
    {
      config: { role: 'Fleet.Admin' },
      bodyLimit: mostRequestBytes,
      schema: {
        tags,
        summary: 'Start a job by the clock',
        description:
          'A run starts one job, of the request as it stands with the times of the run in it. Of runs that were missed only the last is made up for. Times that do not exist where clocks change are an hour later; those that there are twice count once.',
        params: Params,
        body: Schedule,
        response: { 200: ScheduleView, 422: Problem, ...errors },
      },
    },
    async ({ params: { id }, body }) => {
      const request = requestOf(body, latestRun(body, now()), accept.media.url)
      checkSource(accept, request)
      await checkJob(accept, request)
      const stored = await store.set(id, body, now())
      await best(id, async () => await putScheduler(queue, id, stored))
      return view(id, stored, await store.runsOf(id))
    },
  )

  app.delete(
    '/v1/schedules/:id',
    {
      config: { role: 'Fleet.Admin' },
      schema: {
        tags,
        summary: 'Remove a schedule and what is known of its runs',
        description: 'Jobs that it has started go on.',
        params: Params,
        response: { 204: z.null(), 404: Problem, ...errors },
      },
    },
    async ({ params: { id } }, reply) => {
      await known(id)
      await store.remove(id)
      await best(id, async () => void (await queue.removeJobScheduler(id)))
      return await reply.code(204).send(null)
    },
  )

  app.post(
    '/v1/schedules/:id/run',
    {
      config: { role: 'Fleet.Admin' },
      schema: {
        tags,
        summary: 'Make a run of a schedule now',
        description:
          'Of the last time that was due, or of another one that has come; its rule for overlaps holds. `starting`: its job can not be started yet, and is without being asked for again.',
        params: Params,
        body: z.strictObject({ at: z.iso.datetime().optional() }),
        response: { 200: Run, 404: Problem, 422: Problem, ...errors },
      },
    },
    async ({ params: { id }, body: { at } }) => {
      return await fire.runNow(id, await known(id), now(), at === undefined ? undefined : Date.parse(at))
    },
  )

  /** It is set: what Redis does not know now, it is told by a chore. */
  async function best(id: string, tell: () => Promise<void>): Promise<void> {
    await tell().catch((err: Error) =>
      log.warn({ schedule: id, err: err.message }, 'a scheduler could not be set now; it will be'),
    )
  }
}
