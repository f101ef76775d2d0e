import { TransientError } from '../shared/errors.ts'
import type { Halt } from '../shared/job-status.ts'
import { dropWaiting } from './flow.ts'
import { type ResumeDeps, resumeJob } from './resume.ts'

/**
 * Halts a job that is there. The word goes to Redis, where its workers hear it, and into its mark, where it outlives
 * Redis. A job that Redis has forgotten is put back, halted, so that it ends as all jobs do. Answers the halt that
 * holds, or `too late`.
 */
export async function cancelJob(deps: ResumeDeps, id: string): Promise<Halt | 'too late'> {
  const { files, statuses } = deps
  let halt = await statuses.halt(id, 'cancelled')
  if (halt === 'unknown') {
    if (await files.readReport(id)) return 'too late'
    await files.markCancelled(id)
    await resumeJob(deps, id)
    halt = await statuses.halt(id, 'cancelled')
    if (halt === 'unknown') throw new TransientError(`the job ${id} is being put back on the queues`)
  }
  if (halt !== 'cancelled') return halt
  await files.markCancelled(id)
  // Nobody waits for this: what it leaves, workers drain one by one.
  dropWaiting(deps, id).catch((err: unknown) => deps.log.warn({ err, job: id }, 'waiting batches were left'))
  return halt
}
