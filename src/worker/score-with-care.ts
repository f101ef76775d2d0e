import { classify, tries } from '../shared/classify.ts'
import { PoisonError, tooManyErrors } from '../shared/errors.ts'
import type { Failures } from '../shared/incidents.ts'
import type { BatchPayload, BatchResult, JobSpec } from '../shared/job.ts'
import type { Range } from '../shared/media/frame-range.ts'
import type { WorkContext } from '../shared/workload.ts'
import type { EngineHost } from './engine-host.ts'
import type { Manner } from './engine-protocol.ts'
import { type Isolated, isolate } from './isolate.ts'

/**
 * How a batch is tried, which follows from how it has failed, on whatever worker that was:
 *
 *   together ──engine died, memory, model failed──► alone ──once more──► halved ──► without its bad frames
 *       └──────────anything else, three times──────────────────────────────┘
 *
 * `alone`: in an engine of its own, which it takes down without company, one frame at a time. `halved`: until the bad
 * frames are found; then the batch fails, or they go through unscored, as the job's `onError` says.
 */
export type Care = 'together' | 'alone' | 'halved'

export function careFor(failures: Failures): Care {
  const { resource = 0, poison = 0, unknown = 0 } = failures
  if (resource >= tries.resource || poison >= tries.poison || unknown >= tries.unknown) return 'halved'
  return resource + poison > 0 ? 'alone' : 'together'
}

export type CareDeps = {
  shared: Pick<EngineHost, 'score'>
  /** An engine for one batch only. */
  openLone(): EngineHost
  spec(jobId: string): Promise<JobSpec>
  /** Told of frames that the model can't score and that go through instead. */
  onUnscored(batch: BatchPayload, bad: Isolated): Promise<void>
}

/** Scores a batch. Throws PoisonError, naming the frames, when some can't be scored and the job does not let them through. */
export function createCarefulScorer({ shared, openLone, spec, onUnscored }: CareDeps) {
  return async (
    batch: BatchPayload,
    { signal, again, failures, attempt, log }: Omit<WorkContext, 'childFailures' | 'childrenEnded'>,
    onDecoded: () => void,
  ): Promise<BatchResult> => {
    const fields = { queue: 'batch', job: batch.jobId, batch: batch.index, attempt }
    const care = careFor(failures)
    if (care === 'together') {
      return await shared.score(batch, { signal, fields, onDecoded, manner: { again } })
    }
    await using lone = openLone()
    const score = async (manner: Omit<Manner, 'small' | 'again'>) =>
      await lone.score(batch, { signal, fields, manner: { ...manner, again, small: true } })
    if (care === 'alone') return await score({})

    const range = { first: batch.first, count: batch.count }
    const { onError, errorThreshold } = (await spec(batch.jobId)).request
    const most = onError === 'fail' ? 0 : errorThreshold
    const bad = await isolate(range, trialOf(score, signal), most)
    log.warn({ frames: bad.frames, err: bad.why }, 'halved: these frames can not be scored')
    if (bad.frames.length === 0) return await score({})
    await acquit(score, range)
    if (onError === 'fail') throw unscorable(bad)
    if (bad.frames.length > errorThreshold) {
      throw new PoisonError(tooManyErrors(bad.frames.length, errorThreshold).message, bad)
    }
    const result = await score({ through: bad.frames })
    await onUnscored(batch, bad)
    return result
  }
}

const culprits = new Set(['resource', 'poison', 'unknown'])

function trialOf(score: (manner: Omit<Manner, 'small' | 'again'>) => Promise<unknown>, signal: AbortSignal) {
  return async (trial: Range): Promise<Error | undefined> => {
    try {
      await score({ trial })
      return undefined
    } catch (error) {
      if (signal.aborted || !culprits.has(classify(error))) throw error
      return error as Error
    }
  }
}

/** A machine on which not even a black frame can be scored has no business judging frames: its own error is thrown. */
async function acquit(
  score: (manner: Omit<Manner, 'small' | 'again'>) => Promise<unknown>,
  { first }: Range,
): Promise<void> {
  await score({ trial: { first, count: 1 }, through: [first] })
}

function unscorable({ frames, why }: Isolated): PoisonError {
  const [first = 0] = frames
  return new PoisonError(
    `Frame ${first} can't be scored: ${why?.message ?? 'it fails alone'}. With onError "passthrough" it would go through unscored.`,
    { frames, cause: why },
  )
}
