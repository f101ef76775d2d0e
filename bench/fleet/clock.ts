import { createHeap } from './heap.ts'

export type Clock = ReturnType<typeof createClock>

/** Simulated time: what is to happen, in the order of its time; what happens at the same time, in the order it was told. */
export function createClock() {
  const events = createHeap<{ at: number; order: number; happen: () => void }>((a, b) =>
    a.at === b.at ? a.order < b.order : a.at < b.at,
  )
  let now = 0
  let order = 0
  return {
    now: () => now,
    at(when: number, happen: () => void): void {
      events.push({ at: when, order: order++, happen })
    },
    every(seconds: number, happen: () => void): void {
      const turn = () => {
        happen()
        this.at(now + seconds, turn)
      }
      this.at(now, turn)
    },
    /** Throws where nothing is left to happen before `over` says that it is over. */
    runUntil(over: () => boolean): void {
      while (!over()) {
        const event = events.pop()
        if (!event) throw new Error('nothing is left to happen, and it is not over')
        now = event.at
        event.happen()
      }
    },
  }
}
