import { CancelledError, LostError } from './errors.ts'
import type { Halt } from './job-status.ts'

const everyMs = 1_000

/** Why nobody waits for a piece of work any more. */
export type NoUse = Halt | 'ended' | 'committed'
const noUse: Record<NoUse, string> = {
  cancelled: 'the job was cancelled',
  failed: 'the job was failed',
  ended: 'the job has ended',
  committed: 'somebody else has committed it',
}

/**
 * Tells running work to stop, for either of two reasons: its process is leaving or lost its lock (`outer`), or nobody
 * waits for it any more. `ask` is called once a second and answers the halt word if there is one, that the job has ended, or that
 * somebody else has committed the same; a batch reports its progress on the same trip. So no work outlives its use by
 * more than that.
 */
export function haltSignal(outer: AbortSignal, ask: () => Promise<NoUse | undefined>) {
  const controller = new AbortController()
  const leave = () =>
    controller.abort(new LostError(`given back: ${String(outer.reason ?? 'told to leave')}`))
  if (outer.aborted) leave()
  else outer.addEventListener('abort', leave, { once: true })
  const check = async () => {
    const why = await ask()
    if (why) controller.abort(new CancelledError(noUse[why]))
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
