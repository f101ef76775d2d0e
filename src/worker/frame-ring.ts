/**
 * Hands slot numbers from one stage to the next, in order, between stages that run at different speeds.
 * Each lane has one taker. A stage that fails closes the ring with its error, and every other stage gets that error at its next step.
 */
export type Lane = {
  push(slot: number): void
  next(): Promise<number | undefined>
  close(): void
  fail(error: unknown): void
}

export function createLane(first: number[] = []): Lane {
  const queued = [...first]
  let wake: (() => void) | undefined
  let closed = false
  let failure: { error: unknown } | undefined
  const notify = () => {
    wake?.()
    wake = undefined
  }
  return {
    push(slot) {
      queued.push(slot)
      notify()
    },
    /** The next slot; undefined once the lane is closed and empty. */
    async next() {
      while (queued.length === 0 && !closed && !failure) {
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
      if (failure) throw failure.error
      return queued.shift()
    },
    close() {
      closed = true
      notify()
    },
    fail(error) {
      failure ??= { error }
      notify()
    },
  }
}
