import type { AcceptedOutputs } from '../shared/accepted-outputs.ts'
import type { BlobStore } from '../shared/blob-store.ts'
import { concludeJob } from '../shared/end-job.ts'
import { CancelledError, InputError, TransientError } from '../shared/errors.ts'
import type { Incident } from '../shared/incident.ts'
import { type JobPlan, type Report, makesVideo } from '../shared/job.ts'
import type { Incidents } from '../shared/incidents.ts'
import type { JobFiles } from '../shared/job-files.ts'
import type { JobStatuses } from '../shared/job-status.ts'
import { haltSignal } from '../shared/halt-signal.ts'
import type { Logger } from '../shared/log.ts'
import type { Scratch } from '../shared/scratch.ts'
import type { SourceReader } from '../shared/source.ts'
import { tellParts } from '../shared/tracing.ts'
import type { WorkContext, Workload } from '../shared/workload.ts'
import { finishItems } from './finish-items.ts'
import { finishVideo } from './finish-video.ts'
import { type Stopped, failedReport, reportOf } from './report.ts'

export type StitchDeps = {
  files: JobFiles
  outputs: Pick<AcceptedOutputs, 'of'>
  statuses: JobStatuses
  incidents: Incidents
  media: BlobStore
  sources: SourceReader
  scratch: Scratch
  /** Writes down what became of each batch. */
  keepTimeline(plan: JobPlan, incidents: Incident[]): Promise<void>
  /** Told of each job that has ended, once; where Redis forgot it meanwhile, perhaps never. */
  onEnded(report: Report): void
  log: Logger
}

/**
 * Ends a job, well or not: nobody else does, so every accepted job ends exactly here.
 *
 * The stitch entry is the parent of the job's split and batches: it wakes when all of them have ended. It looks at
 * what became of them, then either joins the segments or parts and publishes the output, or says why there is none; writes the
 * report; and removes what only a running job needs. Safe to run twice.
 */
export function stitchWorkload(deps: StitchDeps): Workload<'stitch'> {
  const { files, statuses } = deps
  return {
    queue: 'stitch',
    async process({ jobId }, context) {
      const spec = await files.spec(jobId)
      const done = await files.readReport(jobId)
      // A stitch that died between its report and its end has only to end.
      if (done) return await endJob(deps, done)
      const plan = await files.findPlan(jobId)
      const stopped = await whyStopped(deps, jobId, context)
      if (stopped) return await endJob(deps, await failedReport(spec, plan, stopped, context), plan)
      // Its split may have been lost: it is put on the queue again while this waits for the next attempt.
      if (!plan) throw new TransientError(`The plan of job ${jobId} is missing.`)
      await statuses.advance(jobId, 'stitching')
      const stop = haltSignal(context.signal, () => statuses.halted(jobId))
      const heeding = { ...context, signal: stop.signal }
      try {
        const report = await deps.scratch.within('stitch', async (dir) =>
          makesVideo(plan)
            ? await finishVideo(deps, { spec, plan, dir, context: heeding })
            : await finishItems(deps, { spec, plan, dir, context: heeding }),
        )
        tellParts(context.span, report.ms, Date.now())
        return await endJob(deps, report, plan)
      } catch (error) {
        // Whatever broke, it broke because the job was halted.
        if (!(stop.signal.reason instanceof CancelledError)) throw error
        const why = (await whyStopped(deps, jobId, context)) ?? { status: 'cancelled' as const }
        return await endJob(deps, await failedReport(spec, plan, why, context), plan)
      } finally {
        stop.close()
      }
    },
    async onTerminalFailure({ jobId }, error) {
      const [spec, done, plan] = await Promise.all([
        files.findSpec(jobId),
        files.readReport(jobId),
        files.findPlan(jobId),
      ])
      // Somebody put it on the queue, but nobody ever accepted such a job.
      if (!spec) return
      const code = error instanceof InputError ? error.code : 'stitch-failed'
      const batches = { planned: plan?.batches.length ?? 0, failed: 0 }
      const failed = { status: 'failed', error: { code, message: error.message }, plan, batches } as const
      // What was published and reported is not taken back because clearing up failed.
      await (done ? endJob(deps, done) : endJob(deps, reportOf(spec, failed), plan))
    },
  }
}

/** Why there is to be no video: the job was cancelled, or its split or a batch failed for good. */
async function whyStopped(
  { statuses }: StitchDeps,
  jobId: string,
  context: WorkContext,
): Promise<Stopped | undefined> {
  const [status, failures] = await Promise.all([statuses.get(jobId), context.childFailures()])
  if (status?.halt === 'cancelled') return { status: 'cancelled' }
  // It has ended as far as Redis knows: storage was away for longer than all attempts to write its report lasted.
  if (status?.state === 'cancelled') return { status: 'cancelled' }
  const [reason] = Object.values(failures)
  const failing = status?.halt === 'failed' || status?.state === 'failed'
  if (!failing && reason === undefined) return undefined
  const message = status?.error ?? reason ?? 'The job failed.'
  return { status: 'failed', error: { code: status?.errorCode ?? 'failed', message } }
}

/** The report first: whoever sees the end finds it. A plan comes with the first end of a job, not when it is repeated. */
async function endJob(
  { files, statuses, incidents, keepTimeline, onEnded, log }: StitchDeps,
  ending: Report,
  plan?: JobPlan,
) {
  const id = ending.jobId
  const [noted, status] = await Promise.all([incidents.of(id), statuses.get(id)])
  // How the work went is good to know, and no reason to fail.
  if (plan)
    await keepTimeline(plan, noted).catch((err: unknown) =>
      log.warn({ err, job: id }, 'no timeline was kept'),
    )
  const worked = status?.workedMs
  const report = {
    ...ending,
    ...(noted.length > 0 ? { incidents: noted } : {}),
    ...(worked === undefined ? {} : { workerSeconds: Math.round(worked) / 1_000 }),
  }
  await files.writeReport(report)
  if (await concludeJob({ files, statuses }, report)) onEnded(report)
  return {}
}
