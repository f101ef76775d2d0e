import type { Budget } from './vmss-budget.ts'
import { statusOf } from './vmss-errors.ts'

/** Something that Azure has begun and not yet ended; minutes, mostly. */
export type Operation = {
  kind: 'grow' | 'remove'
  /** Of the machines that it removes. */
  names: string[]
  poll: () => Promise<{ status: string }>
}

/** How many are remembered. Of older ones the machines themselves say what became of them. */
const most = 32

/**
 * Operations under way. None is waited for: each look at the fleet asks for those that are due.
 *
 *   running ──► succeeded | cancelled (by a newer one)     forgotten
 *      └──────► failed                                     told once
 */
export function createOperations({
  budget,
  pollEveryMs,
  now,
}: {
  budget: Budget
  pollEveryMs: number
  now: () => number
}) {
  let running: (Operation & { dueAt: number })[] = []

  return {
    add(operation: Operation) {
      running = [...running, { ...operation, dueAt: now() + pollEveryMs }].slice(-most)
    },
    /** Asks after those that are due, and answers those that failed, with Azure's reason. */
    async failures(): Promise<{ operation: Operation; error: Error }[]> {
      const failed: { operation: Operation; error: Error }[] = []
      for (const operation of running.filter(({ dueAt }) => dueAt <= now())) {
        if (!budget.take()) break
        operation.dueAt = now() + pollEveryMs
        const error = await endOf(operation)
        if (error === 'running') continue
        running = running.filter((each) => each !== operation)
        if (error !== undefined) failed.push({ operation, error })
      }
      return failed
    },
  }
}

async function endOf({ poll }: Operation): Promise<Error | 'running' | undefined> {
  try {
    const { status } = await poll()
    return status === 'running' || status === 'notStarted' ? 'running' : undefined
  } catch (error) {
    if (!(error instanceof Error)) throw error
    // A newer request takes the place of an older one, which is no failure.
    if (/was canceled|OperationPreempted|preempted/i.test(error.message)) return undefined
    // How the SDK throws an operation that ended badly, where its state is an answer's body.
    if (error.name === 'Error') return error
    // Told to stop, or to ask later.
    if (error.name !== 'RestError') return 'running'
    // Where its state is the answer itself, an error of the request that began it. Any other, and the state could not be
    // read: the machines will say what became of it.
    const status = statusOf(error) ?? 0
    return status === 400 || status === 409 || status === 412 ? error : undefined
  }
}
