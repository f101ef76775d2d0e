import { CancelledError, LostError } from '../shared/errors.ts'
import type { BatchPayload } from '../shared/job.ts'
import type { JobStatuses } from '../shared/job-status.ts'

const everyMs = 1_000

/**
 * Tells a running batch to stop, for either of two reasons: the worker is leaving or lost its lock (`outer`), or the
 * job was halted. Once a second the batch reports its progress, and the same trip to Redis brings back the halt word,
 * so no batch outlives its job's cancellation by more than that.
 */
export function stopSignal(statuses: JobStatuses, { jobId, index }: BatchPayload, outer: AbortSignal) {
  const controller = new AbortController()
  let frames = 0
  const leave = () =>
    controller.abort(new LostError(`given back: ${String(outer.reason ?? 'told to leave')}`))
  if (outer.aborted) leave()
  else outer.addEventListener('abort', leave, { once: true })
  const ask = async () => {
    const halt = await statuses.progress(jobId, index, frames)
    if (halt) controller.abort(new CancelledError(`the job was ${halt}`))
  }
  // Redis being away is no reason to stop: the lock decides that.
  const timer = setInterval(() => void ask().catch(() => {}), everyMs)
  return {
    signal: controller.signal,
    report(done: number) {
      frames = done
    },
    close() {
      clearInterval(timer)
      outer.removeEventListener('abort', leave)
    },
  }
}
