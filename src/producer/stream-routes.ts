import type { FastifyInstance, FastifyReply } from 'fastify'
import type { ZodTypeProvider } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { JobId, isEnded } from '../shared/job.ts'
import { type EventStream, openEventStream } from './event-stream.ts'
import { createSeats } from './fair-share.ts'
import type { JobView } from './job-view.ts'
import type { LiveJobs } from './live-jobs.ts'
import { Problem } from './problem.ts'

export type StreamDeps = {
  live: LiveJobs
  /** Of a job that Redis may have forgotten; throws InputError where there is none. */
  view(id: string): Promise<JobView>
}

/** Each holds a connection of this process; one caller can't take them all. */
const mostWatchers = { each: 50, all: 500 }
const tags = ['jobs']
const Events = z.string().describe('server-sent events')
const errors = { 401: Problem, 429: Problem }

/** Jobs as they go, as server-sent events. `EventSource` sends no token: read the answer's body instead. */
export function addStreamRoutes(
  root: FastifyInstance,
  { live, view }: StreamDeps,
  most: { each: number; all: number } = mostWatchers,
): void {
  const app = root.withTypeProvider<ZodTypeProvider>()
  const takeSeat = createSeats(most, 'watch jobs already')
  const open = new Set<EventStream>()
  app.addHook('preClose', async () => {
    for (const stream of open) stream.end()
  })

  function start(reply: FastifyReply, leaveSeat: () => void, id?: string): EventStream | undefined {
    reply.hijack()
    // Who went meanwhile is not heard to go.
    if (reply.raw.destroyed) {
      leaveSeat()
      return undefined
    }
    const headers = Object.fromEntries(
      Object.entries(reply.getHeaders()).map(([name, value]) => [name, String(value)]),
    )
    const stream = openEventStream(reply.raw, headers, () => {
      open.delete(stream)
      leave()
      leaveSeat()
    })
    open.add(stream)
    const leave = live.watch({
      ...(id === undefined ? {} : { id }),
      tell(jobs, isSnapshot) {
        if (isSnapshot && id === undefined) stream.send('jobs', 'jobs', { jobs })
        else for (const job of jobs) stream.send('job', job.id, job)
        if (id !== undefined && jobs.some(({ status, endedAt }) => isEnded(status) && endedAt !== null))
          stream.end()
      },
    })
    return stream
  }

  app.get(
    '/v1/stream',
    {
      config: { role: 'Job.Read' },
      schema: {
        tags,
        summary: 'The newest jobs, live',
        description:
          'First `jobs` with the newest fifty, then `job` for each that has changed, at most once a second. It ends after a quarter of an hour: open it again.',
        produces: ['text/event-stream'],
        response: { 200: Events, ...errors },
      },
    },
    async (request, reply) => {
      start(reply, takeSeat(request.client))
    },
  )

  app.get(
    '/v1/jobs/:id/stream',
    {
      config: { role: 'Job.Read' },
      schema: {
        tags,
        summary: 'One job, live',
        description: '`job` at once and with each change, at most once a second. It ends when the job has.',
        params: z.object({ id: JobId }),
        produces: ['text/event-stream'],
        response: { 200: Events, 404: Problem, ...errors },
      },
    },
    async (request, reply) => {
      const { id } = request.params
      const leaveSeat = takeSeat(request.client)
      const job = await view(id).catch((error: unknown) => {
        leaveSeat()
        throw error
      })
      const stream = start(reply, leaveSeat, id)
      stream?.send('job', id, job)
      if (isEnded(job.status) && job.endedAt !== null) stream?.end()
    },
  )
}
