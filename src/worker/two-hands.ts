import type { Job, Worker } from 'bullmq'

export type Hand = (
  job: Job,
  token: string | undefined,
  signal: AbortSignal | undefined,
  /** To be called when the other hand may take the next batch. */
  passOn: () => void,
) => Promise<unknown>

/**
 * Two BullMQ workers that take turns at claiming, so that the next batch is decoding while the last one is still being
 * encoded and committed:
 *
 *   one    claim ──decode and score──┐ encode, upload, commit ┐        ┌─ claim ──decode and score── …
 *   other                            └─ claim ──decode and score───────┘ encode, upload, commit
 *
 * Only one hand is open at a time, and a hand that has claimed closes itself: a batch taken too early would be one that
 * an idle worker elsewhere can't have.
 */
export function createHands(make: (process: HandProcessor) => Worker, hand: Hand) {
  const workers: [Worker, Worker] = [makeHand(0), makeHand(1)]
  let leaving = false

  function makeHand(side: 0 | 1): Worker {
    return make(async (job, token, signal) => {
      await workers[side].pause(true)
      let passed = false
      const passOn = () => {
        if (passed || leaving) return
        passed = true
        void workers[side === 0 ? 1 : 0].resume()
      }
      try {
        return await hand(job, token, signal, passOn)
      } finally {
        passOn()
      }
    })
  }

  return {
    workers,
    /** Opens the first hand. */
    begin(): void {
      void workers[0].run()
    },
    /** Takes nothing new, from now on. */
    stop(): void {
      leaving = true
    },
  }
}

type HandProcessor = (
  job: Job,
  token: string | undefined,
  signal: AbortSignal | undefined,
) => Promise<unknown>
