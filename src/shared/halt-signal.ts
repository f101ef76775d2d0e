import { CancelledError, LostError } from './errors.ts'
import type { Halt } from './job-status.ts'

const everyMs = 1_000

/**
 * Tells running work to stop, for either of two reasons: its process is leaving or lost its lock (`outer`), or its job
 * was halted. `ask` is called once a second and answers the halt word if there is one; a batch reports its progress on
 * the same trip. So no work outlives its job's cancellation by more than that.
 */
export function haltSignal(outer: AbortSignal, ask: () => Promise<Halt | undefined>) {
  const controller = new AbortController()
  const leave = () =>
    controller.abort(new LostError(`given back: ${String(outer.reason ?? 'told to leave')}`))
  if (outer.aborted) leave()
  else outer.addEventListener('abort', leave, { once: true })
  const check = async () => {
    const halt = await ask()
    if (halt) controller.abort(new CancelledError(`the job was ${halt}`))
  }
  // Redis being away is no reason to stop: the lock decides that.
  const timer = setInterval(() => void check().catch(() => {}), everyMs)
  return {
    signal: controller.signal,
    close() {
      clearInterval(timer)
      outer.removeEventListener('abort', leave)
    },
  }
}
