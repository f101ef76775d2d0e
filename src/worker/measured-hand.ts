import { BatchPayload, BatchResult } from '../shared/job.ts'
import type { Logger } from '../shared/log.ts'
import type { Rates } from '../shared/rates.ts'
import type { PacedBatch, createPace } from './pace.ts'
import type { Hand } from './two-hands.ts'

type MeasureDeps = {
  pace: Pick<ReturnType<typeof createPace>, 'begin'>
  rates: Pick<Rates, 'note'>
  /** Told for how long a job has had this worker; of the time in which two batches were there, once. */
  onWorked(jobId: string, ms: number): void
  /** Told of each batch that was scored here. */
  onScored(result: BatchResult): void
  log: Logger
}

/** A hand whose batches are timed; what they tell of this worker's pace goes to those who plan by it. */
export function measuredHand(hand: Hand, { pace, rates, onWorked, onScored, log }: MeasureDeps): Hand {
  let countedTo = -Infinity
  return async (job, token, signal, passOn) => {
    const began = performance.now()
    const end = pace.begin(began)
    let scored: BatchResult | undefined
    try {
      const answer = await hand(job, token, signal, passOn)
      const result = BatchResult.safeParse(answer).data
      if (result && result.skipped === undefined) scored = result
      return answer
    } finally {
      const payload = BatchPayload.safeParse(job.data).data
      const ended = performance.now()
      if (payload) onWorked(payload.jobId, ended - Math.max(began, countedTo))
      countedTo = ended
      // What failed before is scored with care, and slowly.
      const isUsual = job.attemptsMade === 0 && scored?.frames === payload?.count
      const measured = end(ended, scored && isUsual ? paced(scored) : undefined)
      if (scored) onScored(scored)
      const { device } = scored ?? {}
      const { model, size } = scored?.pacedBy ?? scored ?? {}
      if (measured && model !== undefined && size !== undefined && device !== undefined) {
        rates
          .note({ model, size, device }, measured)
          .catch((error: Error) => log.debug({ err: error.message }, 'a rate was not noted'))
      }
    }
  }
}

/** Nothing where frames are not the model's: they are no measure of it. */
function paced({ frames, replaced, through, ms }: BatchResult): PacedBatch | undefined {
  const { fetch, setUp, total } = ms
  if (replaced.length + through.length > 0) return undefined
  if (fetch === undefined || setUp === undefined || total === undefined) return undefined
  return { frames, ms: { fetch, setUp, total } }
}
