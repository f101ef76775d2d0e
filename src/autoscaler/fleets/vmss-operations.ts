import type { Budget } from './vmss-budget.ts'

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
    // The SDK throws for an operation that ended badly, and `RestError` where its state could not be read: of those the
    // machines will say what became of them. A newer request takes the place of an older one, which is no failure.
    if (!(error instanceof Error)) throw error
    const unread = error.name !== 'Error'
    const replaced = /was canceled|OperationPreempted|preempted/i.test(error.message)
    return unread || replaced ? undefined : error
  }
}
