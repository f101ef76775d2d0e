import { type JobPlan, type JobSpec, type Report, makesVideo } from '../shared/job.ts'
import type { Halt } from '../shared/job-status.ts'
import type { WorkContext } from '../shared/workload.ts'

type Ending = {
  status: Report['status']
  error?: Report['error']
  plan?: JobPlan
  output?: Report['output']
  replaced?: number[]
  through?: number[]
  warnings?: string[]
  batches: Report['batches']
  ms?: Record<string, number>
}

/** What became of a job, as it is kept and shown. */
export function reportOf(spec: JobSpec, ending: Ending): Report {
  const { plan, status, replaced = [], through = [], warnings = plan?.warnings ?? [], ms = {} } = ending
  const endedAt = new Date()
  const seconds = (endedAt.getTime() - Date.parse(spec.createdAt)) / 1_000
  const frames = plan?.frames ?? 0
  return {
    v: 1,
    jobId: spec.id,
    status,
    error: ending.error,
    createdAt: spec.createdAt,
    endedAt: endedAt.toISOString(),
    seconds,
    source: spec.source,
    model: spec.model,
    models: spec.models,
    style: spec.style,
    frames,
    framesReplaced: replaced,
    framesPassedThrough: through,
    fps: status === 'succeeded' ? Math.round((frames / seconds) * 100) / 100 : 0,
    encoding: plan && makesVideo(plan) ? plan.encoding : undefined,
    output: ending.output,
    batches: ending.batches,
    ms,
    warnings,
    incidents: [],
  }
}

/** Milliseconds from lap to lap. */
export function stopwatch() {
  let since = performance.now()
  const laps: Record<string, number> = {}
  return {
    laps,
    lap(name: string) {
      laps[name] = Math.round(performance.now() - since)
      since = performance.now()
    },
  }
}

/** Why a job did not come to a video. */
export type Stopped = { status: Halt; error?: { code: string; message: string } }

export async function failedReport(
  spec: JobSpec,
  plan: JobPlan | undefined,
  stopped: Stopped,
  context: WorkContext,
) {
  const failed = Object.keys(await context.childFailures()).length
  return reportOf(spec, { ...stopped, plan, batches: { planned: plan?.batches.length ?? 0, failed } })
}
