import type { FastifyInstance } from 'fastify'
import type { ZodTypeProvider } from 'fastify-type-provider-zod'
import { z } from 'zod'
import type { BlobStore } from '../shared/blob-store.ts'
import { InputError } from '../shared/errors.ts'
import { JobId } from '../shared/job.ts'
import type { JobFiles } from '../shared/job-files.ts'
import { createShares } from './fair-share.ts'
import { findJobLines } from './job-logs.ts'
import { Problem } from './problem.ts'

export type LogRoutesDeps = { files: Pick<JobFiles, 'findSpec' | 'readReport'>; system: BlobStore }

/** Each reads whole days of logs. */
const searchesAtOnce = 2

const Query = z.object({
  limit: z.coerce.number().int().min(1).max(10_000).default(10_000),
  after: z
    .base64url()
    .max(1_000)
    .optional()
    .describe('the `framefleet-next` of the answer before: what comes after it'),
})

/** `GET /v1/jobs/:id/logs`: what all roles said of a job. */
export function addLogRoutes(root: FastifyInstance, { files, system }: LogRoutesDeps): void {
  const app = root.withTypeProvider<ZodTypeProvider>()
  const share = createShares(searchesAtOnce, 'searches of logs are under way')
  app.get(
    '/v1/jobs/:id/logs',
    {
      config: { role: 'Job.Read' },
      schema: {
        tags: ['jobs'],
        summary: 'What all roles said of a job',
        description:
          'Log lines that name the job, one JSON object a line, in the order of their times; they come some seconds after they were said. Where there are more, the header `framefleet-next` says what to ask for as `after`.',
        produces: ['application/x-ndjson'],
        params: z.object({ id: JobId }),
        querystring: Query,
        response: {
          200: z.string().describe('one JSON object a line'),
          ...{ 400: Problem, 401: Problem, 403: Problem, 404: Problem, 429: Problem },
        },
      },
    },
    async ({ params: { id }, query: { limit, after }, client }, reply) => {
      const gone = new AbortController()
      // Of the answer: the connection goes on to others.
      reply.raw.once('close', () => gone.abort())
      const [spec, report] = await Promise.all([files.findSpec(id), files.readReport(id)])
      if (!spec) throw new InputError('job-unknown', `There is no job ${id}.`)
      const { lines, next } = await share(
        client,
        async () =>
          await findJobLines(system, {
            ...{ jobId: id, limit, signal: gone.signal },
            from: new Date(spec.createdAt),
            to: report ? new Date(report.endedAt) : new Date(),
            ...(after === undefined ? {} : { after: Buffer.from(after, 'base64url').toString() }),
          }),
      )
      if (next !== undefined) reply.header('framefleet-next', Buffer.from(next).toString('base64url'))
      return await reply.type('application/x-ndjson').send(lines.map((line) => `${line}\n`).join(''))
    },
  )
}
