import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { ZodTypeProvider } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { muxers } from '../shared/encoding.ts'
import { InputError } from '../shared/errors.ts'
import { JobId, JobRequest, type JobSpec, Report } from '../shared/job.ts'
import { layout } from '../shared/layout.ts'
import { TraceParent } from '../shared/tracing.ts'
import { type AcceptDeps, acceptJob, mostRequestBytes } from './accept-job.ts'
import { cancelJob } from './cancel-job.ts'
import { createShares } from './fair-share.ts'
import { JobView, linksOf, viewOfFiles, viewOfStatus } from './job-view.ts'
import { Problem } from './problem.ts'
import type { ResumeDeps } from './resume.ts'

const Accepted = z
  .object({ id: z.string(), status: z.string(), links: z.record(z.string(), z.string()) })
  .meta({ id: 'Accepted' })
const Params = z.object({ id: JobId })
const Page = z.object({
  offset: z.coerce.number().int().min(0).max(1_000_000).default(0),
  limit: z.coerce.number().int().min(1).max(100).default(20),
})
const tags = ['jobs']
const errors = { 400: Problem, 401: Problem, 403: Problem, 422: Problem }
const unknown = (id: string) => new InputError('job-unknown', `There is no job ${id}.`)

export type JobRoutesDeps = AcceptDeps & {
  resume: ResumeDeps
  /** What an hour of one worker costs, where that is known. */
  hourPrice?: number
}

/** How a job is doing, of one that Redis may have forgotten; throws InputError where there is none. */
export function createJobViews({ statuses, files, hourPrice }: JobRoutesDeps) {
  return async (id: string): Promise<JobView> => {
    const status = await statuses.get(id)
    if (status) return viewOfStatus(status, Date.now(), hourPrice)
    const spec = await files.findSpec(id)
    if (!spec) throw unknown(id)
    return viewOfFiles(spec, await files.readReport(id), hourPrice)
  }
}

/** Jobs that are being accepted for one caller at once: each asks storage some times, and holds a connection meanwhile. */
const acceptsAtOnce = 16

/** `/v1/jobs`: submit, watch, cancel, and fetch what a job made. */
export function addJobRoutes(root: FastifyInstance, deps: JobRoutesDeps): void {
  const app = root.withTypeProvider<ZodTypeProvider>()
  const share = createShares(acceptsAtOnce)
  const { files, statuses, media } = deps

  const view = createJobViews(deps)

  /** A job that was just accepted: it is, whether or not it can be asked now how it is doing. */
  async function viewOfAccepted(spec: JobSpec): Promise<JobView> {
    return await view(spec.id).catch(async (err: unknown) => {
      deps.log.warn({ err, job: spec.id }, 'an accepted job could not be looked at')
      return viewOfFiles(spec, await files.readReport(spec.id).catch(() => undefined), deps.hourPrice)
    })
  }

  app.post(
    '/v1/jobs',
    {
      config: { role: 'Job.Submit' },
      bodyLimit: mostRequestBytes,
      schema: {
        tags,
        summary: 'Submit a video, images or a table',
        description:
          'Answers at once; the job goes on by itself. An Idempotency-Key makes it safe to send again. Where too much is in line already, 429 says what is before it, and Retry-After when to come back. A request has 1 MiB at most: what names more images comes as a manifest.',
        body: JobRequest,
        headers: z.object({ 'idempotency-key': z.string().min(1).max(200).optional() }),
        response: { 202: Accepted, 429: Problem, ...errors },
      },
    },
    async (request, reply) => {
      const { client, headers } = request
      const caller = { client, key: headers['idempotency-key'], trace: traceOf(request) }
      const spec = await share(caller.client, async () => await acceptJob(deps, request.body, caller))
      const { id, status, links } = await viewOfAccepted(spec)
      return await reply.code(202).header('location', links['self']).send({ id, status, links })
    },
  )

  app.get(
    '/v1/jobs',
    {
      config: { role: 'Job.Read' },
      schema: {
        tags,
        summary: 'Jobs, newest first',
        querystring: Page,
        response: { 200: z.object({ jobs: z.array(JobView) }), ...errors },
      },
    },
    async (request) => {
      const ids = await statuses.list(request.query.offset, request.query.limit)
      const found = await statuses.getAll(ids)
      return {
        jobs: found
          .filter((status) => status !== undefined)
          .map((status) => viewOfStatus(status, Date.now(), deps.hourPrice)),
      }
    },
  )

  app.get(
    '/v1/jobs/:id',
    {
      config: { role: 'Job.Read' },
      schema: {
        tags,
        summary: 'How a job is doing',
        params: Params,
        response: { 200: JobView, 404: Problem, ...errors },
      },
    },
    async (request) => await view(request.params.id),
  )

  app.delete(
    '/v1/jobs/:id',
    {
      config: { role: 'Job.Submit' },
      schema: {
        tags,
        summary: 'Cancel a job',
        description:
          'Batches under way stop within two seconds, or once the frame they are at is scored; what was made so far is deleted.',
        params: Params,
        response: { 202: Accepted, 404: Problem, 409: Problem, ...errors },
      },
    },
    async (request, reply) => {
      const { id } = request.params
      const { status } = await view(id)
      const halt = await cancelJob(deps.resume, id)
      if (halt !== 'cancelled') {
        const why = halt === 'failed' ? 'is failing already' : `can't be cancelled any more (${status})`
        throw new InputError('job-ended', `The job ${id} ${why}.`)
      }
      return await reply.code(202).send({ id, status: 'cancelled', links: linksOf(id, { ended: false }) })
    },
  )

  app.get(
    '/v1/jobs/:id/report',
    {
      config: { role: 'Job.Read' },
      schema: {
        tags,
        summary: 'What became of a job',
        params: Params,
        response: { 200: Report, 404: Problem, ...errors },
      },
    },
    async (request) => {
      const report = await files.readReport(request.params.id)
      if (!report) throw new InputError('not-there', `The job ${request.params.id} has no report yet.`)
      return report
    },
  )

  const download = (what: 'output' | 'preview', summary: string) =>
    app.get(
      `/v1/jobs/:id/${what}`,
      { config: { role: 'Job.Read' }, schema: { tags, summary, params: Params } },
      async (request, reply) => {
        const { id } = request.params
        const report = await files.readReport(id)
        const container = report?.encoding?.container ?? scoresOf(report)
        const name = what === 'preview' ? layout.preview(id) : container && layout.output(id, container)
        const stream = report?.status === 'succeeded' && name ? await media.openRead(name) : undefined
        if (!stream || !container) throw new InputError('not-there', `The job ${id} has no ${what} here.`)
        return await reply.type(what === 'preview' ? 'image/jpeg' : contentTypes[container]).send(stream)
      },
    )
  download('output', 'The finished video, or the scores')
  download('preview', 'A few source frames above what became of them')
}

const contentTypes = {
  ...{ mp4: muxers.mp4.contentType, mkv: muxers.mkv.contentType, webm: muxers.webm.contentType },
  ...{ ndjson: 'application/x-ndjson', csv: 'text/csv; charset=utf-8' },
}

/** The ending of a file of scores, of a job that made one. */
function scoresOf(report: Report | undefined): 'ndjson' | 'csv' | undefined {
  const format = report?.items?.format
  return format === 'images' ? undefined : format
}

/** The caller's own trace, where it says one. */
const traceOf = ({ raw }: FastifyRequest) => TraceParent.safeParse(raw.headers['traceparent']).data
