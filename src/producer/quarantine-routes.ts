import type { FastifyInstance } from 'fastify'
import type { ZodTypeProvider } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { InputError } from '../shared/errors.ts'
import type { JobFiles } from '../shared/job-files.ts'
import { type Quarantine, QuarantineRecord, type StoredRecord } from '../shared/quarantine.ts'
import { Problem } from './problem.ts'
import { arrivalsQueue } from './triggers/set-aside.ts'
import type { Resumed } from './resume.ts'

export type QuarantineDeps = {
  quarantine: Quarantine
  files: Pick<JobFiles, 'findSpec' | 'readReport'>
  /** Runs a job that has failed again, by its plan. Throws InputError where that can't be. */
  runAgain(jobId: string): Promise<Resumed>
  /** Says once more that the blob of a record landed; answers its job's id. Throws InputError where it starts none. */
  landAgain(record: StoredRecord): Promise<string>
}

const Stored = QuarantineRecord.extend({ id: z.string() }).meta({ id: 'StoredQuarantineRecord' })
const Params = z.object({ id: z.string().regex(/^[A-Za-z0-9._-]{1,120}$/) })
const Page = z.object({
  offset: z.coerce.number().int().min(0).max(10_000).default(0),
  limit: z.coerce.number().int().min(1).max(100).default(20),
})
const Retried = z
  .object({
    id: z.string(),
    jobId: z.string(),
    status: z.literal('queued'),
    links: z.record(z.string(), z.string()),
  })
  .meta({ id: 'Retried' })
const tags = ['quarantine']
const errors = { 400: Problem, 401: Problem, 403: Problem }

/** `/v1/quarantine`: what was taken out of the way, with its evidence; to be retried or dropped. */
export function addQuarantineRoutes(root: FastifyInstance, deps: QuarantineDeps): void {
  const app = root.withTypeProvider<ZodTypeProvider>()
  const { quarantine } = deps

  /** What a record is about is done once more; answers the job. */
  async function again(kept: StoredRecord): Promise<string> {
    if (kept.queue === arrivalsQueue) {
      const started = await deps.landAgain(kept)
      await quarantine.drop(kept.id)
      return started
    }
    const jobId = await retryable(deps, kept)
    if ((await deps.runAgain(jobId)) !== 'resumed') throw isOpen(jobId)
    await quarantine.dropJob(jobId)
    return jobId
  }

  async function record(id: string): Promise<StoredRecord> {
    const found = await quarantine.find(id)
    if (found) return found
    throw new InputError('record-unknown', `There is no record ${id} in quarantine.`)
  }

  app.get(
    '/v1/quarantine',
    {
      config: { role: 'Job.Read' },
      schema: {
        tags,
        summary: 'What is in quarantine, newest first',
        querystring: Page,
        response: { 200: z.object({ total: z.number().int(), records: z.array(Stored) }), ...errors },
      },
    },
    async ({ query }) => await quarantine.list(query.offset, query.limit),
  )

  app.get(
    '/v1/quarantine/:id',
    {
      config: { role: 'Job.Read' },
      schema: {
        tags,
        summary: 'One record, with its evidence',
        params: Params,
        response: { 200: Stored, 404: Problem, ...errors },
      },
    },
    async ({ params }) => await record(params.id),
  )

  app.post(
    '/v1/quarantine/:id/retry',
    {
      config: { role: 'Fleet.Admin' },
      schema: {
        tags,
        summary: 'Run the job of a record again, or start it after all',
        description:
          'For a job that has failed: it keeps its id and its plan, and all records of it leave quarantine. For a video that landed and was refused: it is looked at anew.',
        params: Params,
        response: { 202: Retried, 404: Problem, 409: Problem, 422: Problem, ...errors },
      },
    },
    async (request, reply) => {
      const { id } = request.params
      const jobId = await again(await record(id))
      const links = { job: `/v1/jobs/${jobId}` }
      return await reply.code(202).send({ id, jobId, status: 'queued', links })
    },
  )

  app.delete(
    '/v1/quarantine/:id',
    {
      config: { role: 'Fleet.Admin' },
      schema: {
        tags,
        summary: 'Drop a record',
        params: Params,
        response: { 204: z.null(), 404: Problem, ...errors },
      },
    },
    async (request, reply) => {
      const { id } = request.params
      if (await quarantine.drop(id)) return await reply.code(204).send(null)
      throw new InputError('record-unknown', `There is no record ${id} in quarantine.`)
    },
  )
}

/** The job that a record's retry would run again; InputError where there is none. */
async function retryable({ files }: QuarantineDeps, { id, jobId }: StoredRecord): Promise<string> {
  if (jobId === undefined)
    throw new InputError('not-retryable', `The record ${id} belongs to no job; it can only be dropped.`)
  const [spec, report] = await Promise.all([files.findSpec(jobId), files.readReport(jobId)])
  if (!spec)
    throw new InputError('not-retryable', `The job ${jobId} of record ${id} is not in storage any more.`)
  if (!report) throw isOpen(jobId)
  if (report.status !== 'failed')
    throw new InputError(
      'job-ended',
      `The job ${jobId} has ${words[report.status]}; only failed jobs are run again.`,
    )
  return jobId
}

const isOpen = (jobId: string) =>
  new InputError('job-open', `The job ${jobId} has not ended; it can be run again if it fails.`)

const words = { succeeded: 'succeeded', cancelled: 'been cancelled' } as const
