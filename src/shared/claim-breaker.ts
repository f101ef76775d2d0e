import { setTimeout as pause } from 'node:timers/promises'
import type { Worker } from 'bullmq'
import type { Logger } from './log.ts'

/**
 * Keeps a worker from spinning: BullMQ claims again at once where a claim failed, ten thousand times a second when a
 * key has the wrong type or Redis is full.
 *
 *   closed ──claims fail in a row──► open: each further failure takes 1 s, 2 s, 4 s, 5 s … ──a claim works──► closed
 *
 * The wait is inside the claim: whoever pauses and resumes the worker meanwhile is not meddled with, and one that is
 * closing does not wait. A connection that is gone is not counted: BullMQ waits for it itself.
 */
export function guardClaims(worker: Worker, log: Logger, onPause: () => void): void {
  const { backend, name: queue } = worker
  const claim = backend.moveToActive.bind(backend)
  const leaving = new AbortController()
  worker.once('closing', () => leaving.abort())
  let failed = 0
  backend.moveToActive = async (...args) => {
    try {
      const claimed = await claim(...args)
      if (pauseAfter(failed) > 0) log.info({ queue }, 'work can be claimed again')
      failed = 0
      return claimed
    } catch (error) {
      if (!isAnswer(error)) throw error
      failed++
      const ms = pauseAfter(failed)
      if (ms > 0) {
        if (pauseAfter(failed - 1) === 0)
          log.warn({ queue, err: error.message }, 'no work can be claimed: trying less often')
        onPause()
        await pause(ms, undefined, { signal: leaving.signal }).catch(() => {})
      }
      throw error
    }
  }
}

const tolerated = 5
const longestMs = 5_000

/** Milliseconds to wait after so many failed claims in a row. */
export function pauseAfter(failed: number): number {
  return failed < tolerated ? 0 : Math.min(longestMs, 1_000 * 2 ** Math.min(10, failed - tolerated))
}

/** Redis answered, and the answer was an error. */
const isAnswer = (error: unknown): error is Error => error instanceof Error && error.name === 'ReplyError'
