import { z } from 'zod'
import { type JobSpec, type Report, isEnded, jobStates } from '../shared/job.ts'
import { type JobKind, kindOf, products, units, videoKind } from '../shared/job-kind.ts'
import type { JobStatus } from '../shared/job-status.ts'
import { modelsSaid } from './accept-models.ts'

/** A job as the API shows it. */
export const JobView = z
  .object({
    id: z.string(),
    status: z.enum(jobStates),
    createdAt: z.iso.datetime(),
    endedAt: z.iso.datetime().nullable(),
    model: z.string(),
    source: z.string(),
    unit: z.enum(units).describe('what is counted as frames: those of a video, images, or rows'),
    makes: z.enum(products),
    frames: z.object({ done: z.number().int(), total: z.number().int().nullable() }),
    fps: z.number().nullable().describe('frames, images or rows a second since scoring began'),
    etaSeconds: z.number().nullable(),
    workerSeconds: z
      .number()
      .nullable()
      .describe('how long workers were busy with it so far, also for nothing'),
    cost: z
      .number()
      .nullable()
      .describe('that time by the price of a worker hour; null where no price is set'),
    error: z.object({ code: z.string(), message: z.string() }).nullable(),
    output: z
      .string()
      .nullable()
      .describe('where it is in storage: the video, the scores, or what the images are under'),
    links: z.record(z.string(), z.string()),
  })
  .meta({ id: 'Job' })
export type JobView = z.infer<typeof JobView>

/** Images are many: their links are asked for. Only of a video there is a preview. */
export function linksOf(
  id: string,
  { ended, makes }: { ended: boolean; makes?: JobKind['makes'] | false },
): Record<string, string> {
  const self = `/v1/jobs/${id}`
  return {
    self,
    ...(ended ? { report: `${self}/report` } : {}),
    ...(makes === 'video' || makes === 'scores' ? { output: `${self}/output` } : {}),
    ...(makes === 'video' ? { preview: `${self}/preview` } : {}),
    ...(makes === 'images' ? { images: `${self}/links` } : {}),
  }
}

/** `hourPrice`: what an hour of one worker costs, where that is known. */
export function viewOfStatus(status: JobStatus, now: number, hourPrice?: number): JobView {
  const { scoringAt, framesDone: done, framesTotal: total = null, endedAt, kind = videoKind } = status
  const seconds = scoringAt === undefined ? 0 : ((endedAt ?? now) - scoringAt) / 1_000
  const since = done - (status.framesBefore ?? 0)
  const fps = seconds > 0.5 && since > 0 ? since / seconds : null
  const ended = isEnded(status.state)
  // A job that was asked to stop shows so at once, though its batches are still draining.
  const state = !ended && status.halt === 'cancelled' ? 'cancelled' : status.state
  const goesOn = !ended && status.halt === undefined
  return {
    id: status.id,
    status: state,
    createdAt: new Date(status.createdAt).toISOString(),
    endedAt: endedAt === undefined ? null : new Date(endedAt).toISOString(),
    model: status.model,
    source: status.source,
    ...kind,
    frames: { done, total },
    fps: fps === null ? null : round(fps),
    etaSeconds: fps === null || total === null || !goesOn ? null : round((total - done) / fps),
    ...costs(status.workedMs === undefined ? undefined : status.workedMs / 1_000, hourPrice),
    error: status.error === undefined ? null : { code: status.errorCode ?? 'failed', message: status.error },
    output: status.output ?? null,
    links: linksOf(status.id, { ended, makes: status.state === 'succeeded' && kind.makes }),
  }
}

/** A job that Redis no longer knows, from what lies in Blob. */
export function viewOfFiles(spec: JobSpec, report: Report | undefined, hourPrice?: number): JobView {
  return {
    id: spec.id,
    status: report?.status ?? 'queued',
    createdAt: spec.createdAt,
    endedAt: report?.endedAt ?? null,
    model: modelsSaid(spec),
    source: spec.source.url,
    ...kindOf(spec),
    frames: { done: report?.status === 'succeeded' ? report.frames : 0, total: report?.frames ?? null },
    fps: report?.fps ?? null,
    etaSeconds: null,
    ...costs(report?.workerSeconds, hourPrice),
    error: report?.error ?? null,
    output: report?.output?.url ?? null,
    links: linksOf(spec.id, {
      ended: report !== undefined,
      makes: report?.status === 'succeeded' && kindOf(spec).makes,
    }),
  }
}

const round = (value: number) => Math.round(value * 100) / 100

function costs(seconds: number | undefined, hourPrice: number | undefined) {
  if (seconds === undefined) return { workerSeconds: null, cost: null }
  // Four digits of the smallest coin: a short clip costs less than one.
  const cost = hourPrice === undefined ? null : Math.round((seconds / 3_600) * hourPrice * 1e6) / 1e6
  return { workerSeconds: round(seconds), cost }
}
