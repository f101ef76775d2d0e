import type { FastifyInstance } from 'fastify'
import type { ZodTypeProvider } from 'fastify-type-provider-zod'
import type { Redis } from 'ioredis'
import { z } from 'zod'
import type { BlobStore } from '../shared/blob-store.ts'
import { InputError } from '../shared/errors.ts'
import type { Incidents } from '../shared/incidents.ts'
import { JobId } from '../shared/job.ts'
import type { JobFiles } from '../shared/job-files.ts'
import type { JobStatuses } from '../shared/job-status.ts'
import { layout } from '../shared/layout.ts'
import { BatchView, Timeline, readEntries, viewBatches } from '../shared/timeline.ts'
import { Problem } from './problem.ts'

export type BatchRoutesDeps = {
  files: Pick<JobFiles, 'findSpec' | 'findPlan' | 'readReport'>
  statuses: Pick<JobStatuses, 'committed' | 'underWay'>
  incidents: Pick<Incidents, 'of'>
  redis: Redis
  batchKey(entry: string): string
  media: Pick<BlobStore, 'readJson' | 'list' | 'openRead'>
}

const Params = z.object({ id: JobId })
const Page = z.object({
  offset: z.coerce.number().int().min(0).max(10_000_000).default(0),
  limit: z.coerce.number().int().min(1).max(1_000).default(200),
})
const Pair = z.object({ frame: z.number().int(), before: z.string(), after: z.string() })
const Side = z.enum(['before', 'after'])
const tags = ['jobs']
const errors = { 400: Problem, 401: Problem, 404: Problem }

/** What a job is made of, for people who look at it: its batches, and some of its frames before and after. */
export function addBatchRoutes(root: FastifyInstance, deps: BatchRoutesDeps): void {
  const app = root.withTypeProvider<ZodTypeProvider>()
  const { files, statuses, media } = deps

  app.get(
    '/v1/jobs/:id/batches',
    {
      config: { role: 'Job.Read' },
      schema: {
        tags,
        summary: 'The batches of a job: who has each, how long, what failed',
        description: 'From the queue while the job runs; as it was written down at its end, after that.',
        params: Params,
        querystring: Page,
        response: { 200: z.object({ total: z.number().int(), batches: z.array(BatchView) }), ...errors },
      },
    },
    async ({ params: { id }, query: { offset, limit } }) => {
      const ended = (await files.readReport(id)) !== undefined
      const kept = ended ? await media.readJson(layout.timeline(id), Timeline) : undefined
      if (kept) return { total: kept.batches.length, batches: kept.batches.slice(offset, offset + limit) }
      const plan = await files.findPlan(id)
      if (!plan && !(await files.findSpec(id))) throw new InputError('job-unknown', `There is no job ${id}.`)
      const total = plan?.batches.length ?? 0
      const to = Math.min(total, offset + limit)
      if (!plan || offset >= total) return { total, batches: [] }
      const asked = Array.from({ length: to - offset }, (_, i) => ({ jobId: id, index: offset + i }))
      const [entries, incidents, committed, [underWay = new Map<number, number>()]] = await Promise.all([
        readEntries(deps.redis, deps.batchKey, { jobId: id, from: offset, to }),
        deps.incidents.of(id),
        statuses.committed(asked),
        statuses.underWay([id]),
      ])
      const known = { plan, jobId: id, from: offset, entries, incidents, committed, underWay }
      return { total, batches: viewBatches({ ...known, now: Date.now() }) }
    },
  )

  app.get(
    '/v1/jobs/:id/frames',
    {
      config: { role: 'Job.Read' },
      schema: {
        tags,
        summary: 'A few frames before and after',
        params: Params,
        response: { 200: z.object({ pairs: z.array(Pair) }), ...errors },
      },
    },
    async ({ params: { id } }) => {
      const frames = new Map<number, Set<string>>()
      for await (const { name } of media.list(layout.pairs(id))) {
        const [, frame, side] = /(\d+)-(before|after)\.jpg$/.exec(name) ?? []
        if (side) frames.set(Number(frame), (frames.get(Number(frame)) ?? new Set()).add(side))
      }
      const url = (frame: number, side: string) => `/v1/jobs/${id}/frames/${frame}/${side}`
      const whole = [...frames].filter(([, sides]) => sides.size === 2).map(([frame]) => frame)
      return {
        pairs: whole.map((frame) => ({ frame, before: url(frame, 'before'), after: url(frame, 'after') })),
      }
    },
  )

  app.get(
    '/v1/jobs/:id/frames/:frame/:side',
    {
      config: { role: 'Job.Read' },
      schema: {
        tags,
        summary: 'One of them, as a JPEG',
        params: Params.extend({ frame: z.coerce.number().int().min(0).max(1e9), side: Side }),
      },
    },
    async ({ params: { id, frame, side } }, reply) => {
      const stream = await media.openRead(layout.pair(id, frame, side))
      if (!stream) throw new InputError('not-there', `The job ${id} shows no frame ${frame}.`)
      return await reply.type('image/jpeg').header('cache-control', 'private, max-age=3600').send(stream)
    },
  )
}
