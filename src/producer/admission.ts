import type { Backlog, Limits, Refusal } from '../shared/backlog.ts'
import { InputError } from '../shared/errors.ts'
import type { JobSpec } from '../shared/job.ts'
import { rowsPerFrame } from '../shared/rates.ts'

/** There is more in line than may be: the job may come later. */
export class TooMuchQueued extends InputError {
  readonly retryAfterSeconds: number
  /** What is before it, of everybody: frames that are not committed yet, and jobs. */
  readonly line: { frames: number; jobs: number }
  constructor(refusal: Refusal, wanted: number, limits: Limits, pace: number | undefined) {
    const seconds = retryAfterSeconds(excessOf(refusal, wanted, limits), pace)
    super('too-much-queued', `${sentence(refusal, limits)} Try again in ${seconds} s.`)
    this.retryAfterSeconds = seconds
    this.line = refusal.line
  }
}

/**
 * Lets a job into the line, or throws TooMuchQueued. Limits are on frames that are not committed yet, of which some thousand rows
 * make one; the frames of a job that is not planned yet are estimated. A job that is in line already is let in again.
 */
export function createAdmission(backlog: Backlog, limits: Limits) {
  return async (job: { id: string; client: string; frames: number }): Promise<void> => {
    const refusal = await backlog.admit(job, limits)
    if (refusal) throw new TooMuchQueued(refusal, job.frames, limits, await backlog.pace())
  }
}
export type Admission = ReturnType<typeof createAdmission>

/** 720p from a phone has some 20 kB a frame. */
const bytesPerFrame = 20_000
const bytesPerRow = 100

/** What a job weighs in line, by its bytes. What is counted later takes the place of this. Pure. */
export function estimateFrames({
  request,
  source: { bytes },
  models = [],
}: Pick<JobSpec, 'request' | 'source' | 'models'>): number {
  const each = request.source.table ? bytes / bytesPerRow / rowsPerFrame : bytes / bytesPerFrame
  return Math.ceil(each * Math.max(1, models.length)) || 1
}

/** How long the fleet is likely to need for so many frames, within bounds that a caller can live with. */
export function retryAfterSeconds(frames: number, pace: number | undefined): number {
  if (pace === undefined || pace <= 0) return 60
  return Math.min(600, Math.max(5, Math.ceil(frames / pace)))
}

function excessOf({ why, line, client }: Refusal, wanted: number, limits: Limits): number {
  if (why === 'frames') return line.frames + wanted - limits.frames
  if (why === 'client-frames') return client.frames + wanted - limits.clientFrames
  // Until one of them is done.
  return Math.ceil(client.frames / Math.max(1, client.jobs))
}

function sentence({ why, line, client }: Refusal, limits: Limits): string {
  const before = `Before this one there are ${line.frames} frames in ${line.jobs} jobs.`
  if (why === 'frames') return `Only ${limits.frames} frames may be in line. ${before}`
  const yours = `You have ${client.frames} frames in ${client.jobs} jobs in line`
  const limit = why === 'client-jobs' ? `${limits.clientJobs} jobs` : `${limits.clientFrames} frames`
  return `${yours}; ${limit} are the limit. ${before}`
}
