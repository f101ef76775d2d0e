import type { FastifyInstance } from 'fastify'
import type { ZodTypeProvider } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { InputError } from '../shared/errors.ts'
import { JobId } from '../shared/job.ts'
import { Problem } from './problem.ts'
import { createResumeOpen } from './reconcile.ts'
import { type ResumeDeps, restitchJob, resumeJob } from './resume.ts'

const count = z.number().int()
const tags = ['jobs']

/** Puts jobs back on the queues from what lies in Blob: by hand, what the producer does by itself now and then. */
export function addResumeRoutes(root: FastifyInstance, deps: ResumeDeps): void {
  const app = root.withTypeProvider<ZodTypeProvider>()
  const leaving = new AbortController()
  app.addHook('onClose', async () => leaving.abort())
  const resumeOpen = createResumeOpen(deps, leaving.signal)

  app.post(
    '/v1/jobs/:id/resume',
    {
      config: { role: 'Job.Submit' },
      schema: {
        tags,
        summary: 'Put a job back on the queues',
        description:
          'From what lies in storage, as far as it is missing there; what is done is not done again. With again=true a job that failed or was cancelled runs anew, by the same plan; while its end is still being written down, 409 job-ending asks to try again.',
        params: z.object({ id: JobId }),
        querystring: z.object({ again: z.stringbool().default(false) }),
        response: {
          200: z.object({ id: z.string(), outcome: z.enum(['resumed', 'running', 'ended']) }),
          ...{ 400: Problem, 401: Problem, 403: Problem, 404: Problem, 409: Problem },
        },
      },
    },
    async (request) => {
      const { id } = request.params
      const outcome = await resumeJob(deps, id, { again: request.query.again })
      if (outcome === 'unknown') throw new InputError('job-unknown', `There is no job ${id}.`)
      return { id, outcome }
    },
  )

  app.post(
    '/v1/jobs/:id/restitch',
    {
      config: { role: 'Job.Submit' },
      schema: {
        tags,
        summary: 'Stitch the frames of a job once more',
        description:
          'Of a job with intermediate "frames": its video is made anew of the images under its frames/, as they are now.',
        params: z.object({ id: JobId }),
        response: {
          202: z.object({ id: z.string(), outcome: z.enum(['resumed', 'running', 'ended']) }),
          ...{ 400: Problem, 401: Problem, 403: Problem, 404: Problem, 409: Problem },
        },
      },
    },
    async (request, reply) => {
      const { id } = request.params
      const outcome = await restitchJob(deps, id)
      if (outcome === 'unknown') throw new InputError('job-unknown', `There is no job ${id}.`)
      return await reply.code(202).send({ id, outcome })
    },
  )

  app.post(
    '/v1/resume',
    {
      config: { role: 'Job.Submit' },
      schema: {
        tags,
        summary: 'Put every open job back on the queues',
        description:
          'Answers how many were put back, were running, had ended, or are marked but not there; and of how many it could not be told.',
        response: {
          200: z.object({ resumed: count, running: count, ended: count, unknown: count, failed: count }),
          401: Problem,
          403: Problem,
        },
      },
    },
    async () => await resumeOpen(),
  )
}
