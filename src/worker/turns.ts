import { LostError } from '../shared/errors.ts'

export type Turn<T, R = number> = {
  /** Waits for its turn and runs; resolves in the order of asking. */
  take(what: T): Promise<R>
  /** Drops what has not begun; resolves when what has begun has ended. */
  leave(): Promise<void>
}

/**
 * Lets several batches share one model. The one that came first goes first, always; another one only fills the gaps it
 * leaves. Taking turns evenly, all would end at once and then decode at once, and the model would wait for them all.
 * `atOnce` runs are begun at a time: one more than the model has lanes, so that it never waits for us.
 */
export function createTurns<T, R = number>(run: (what: T) => Promise<R>, atOnce: number) {
  type Waiting = { what: T; age: number; resolve(ran: R): void; reject(error: unknown): void }
  const waiting: Waiting[] = []
  const running = new Set<Promise<unknown>>()
  let ages = 0

  function next(): void {
    if (running.size >= atOnce || waiting.length === 0) return
    const oldest = Math.min(...waiting.map(({ age }) => age))
    const [chosen] = waiting.splice(
      waiting.findIndex(({ age }) => age === oldest),
      1,
    )
    if (!chosen) return
    const ended = run(chosen.what)
      .then(chosen.resolve, chosen.reject)
      .finally(() => {
        running.delete(ended)
        next()
      })
    running.add(ended)
    next()
  }

  return {
    join(): Turn<T, R> {
      const age = ages++
      const mine = new Set<Promise<unknown>>()
      return {
        async take(what) {
          const turn = new Promise<R>((resolve, reject) => waiting.push({ what, age, resolve, reject }))
          mine.add(turn)
          next()
          try {
            return await turn
          } finally {
            mine.delete(turn)
          }
        },
        async leave() {
          const own = waiting.filter((each) => each.age === age)
          for (const each of own) waiting.splice(waiting.indexOf(each), 1)
          for (const each of own) each.reject(new LostError('left before its turn'))
          await Promise.allSettled([...mine])
        },
      }
    },
  }
}
