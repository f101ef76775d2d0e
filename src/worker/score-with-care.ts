import { classify, suspect, tries } from '../shared/classify.ts'
import { LostError, PoisonError, tooManyErrors } from '../shared/errors.ts'
import type { Failures } from '../shared/incidents.ts'
import type { BatchPayload, BatchResult, JobSpec } from '../shared/job.ts'
import type { Range } from '../shared/media/frame-range.ts'
import { entryIds } from '../shared/queues.ts'
import type { WorkContext } from '../shared/workload.ts'
import type { EngineHost } from './engine-host.ts'
import type { Manner } from './engine-protocol.ts'
import { type Isolated, isolate } from './isolate.ts'

/**
 * How a batch is tried, which follows from how it has failed, on whatever worker that was:
 *
 *   together ──engine died, memory, model failed──► alone ──once more──► halved ──► without its bad frames
 *       └──────────an unknown error, three times───────────────────────────┘
 *
 * `alone`: in an engine of its own, which it takes down without company, one frame at a time. `halved`: until the bad
 * frames are found; then the batch fails, or they go through unscored, as the job's `onError` says. Before that a black
 * frame is tried: where it fails twice as well, the model is at fault, or this machine, which then leaves. What fails after
 * halving too is tried once more, anywhere, and is poison then. Errors of other classes are no matter of care.
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
  /** Told that this machine can't score anything. */
  onUnfit(error: Error): void
  /** Told of frames that the model can't score and that go through instead. */
  onUnscored(batch: BatchPayload, bad: Isolated): Promise<void>
}

/** Engines that may die one after the other, with no batch scored between, before the machine itself is looked at. */
const deathsInARow = 3

/**
 * Scores a batch. Throws PoisonError, naming the frames, when some can't be scored and the job does not let them through;
 * LostError when this machine can't score anything.
 */
export function createCarefulScorer({ shared, openLone, spec, onUnfit, onUnscored }: CareDeps) {
  let deaths = 0

  /** Before anybody is blamed: is it this machine? */
  async function proveFit(signal: AbortSignal): Promise<void> {
    await using lone = openLone()
    const error = await blamed(lone.check(signal), signal)
    if (!error) return
    onUnfit(error)
    throw new LostError(`this machine can't score anything: ${error.message}`)
  }

  async function scoreAlone(batch: BatchPayload, context: Context, care: Care): Promise<BatchResult> {
    const { signal, again, log } = context
    await using lone = openLone()
    const score = async (manner: Pick<Manner, 'trial' | 'through'>) =>
      await lone.score(batch, {
        signal,
        fields: fieldsOf(batch, context),
        manner: { ...manner, again, small: true },
      })
    if (care === 'alone') return await score({})

    const { request } = await spec(batch.jobId)
    const modelName = request.model ?? `of batch ${batch.index}`
    const { errorThreshold } = request
    // Of items each is its own failure.
    const onError = request.source.url === undefined ? 'passthrough' : request.onError
    const trial = async (range: Range) => await blamed(score({ trial: range }), signal)
    const { first, count } = batch
    // In place of the first that the model comes to: what can't even be opened proves nothing of it.
    const blackFrame = async () => {
      for (let frame = first; frame < first + count; frame++) {
        let device: string | undefined
        const manner = { trial: { first: frame, count: 1 }, through: [frame] }
        const error = await blamed(
          score(manner).then((result) => (device = result.device)),
          signal,
        )
        if (error || device !== undefined) return error
      }
      return undefined
    }
    const black = (await blackFrame()) && (await blackFrame())
    if (black) {
      await proveFit(signal)
      const text = `the model ${modelName} fails even on a black frame: ${black.message}`
      throw new PoisonError(text, { cause: black })
    }
    const bad = await isolate({ first, count }, trial, onError === 'fail' ? 0 : errorThreshold)
    log.warn({ frames: bad.frames, err: bad.why }, 'halved: these frames can not be scored')
    if (bad.frames.length === 0) return await score({})
    if (onError === 'fail') throw unscorable(bad)
    if (bad.frames.length > errorThreshold) {
      throw new PoisonError(tooManyErrors(bad.frames.length, errorThreshold).message, bad)
    }
    const result = await score({ through: bad.frames })
    await onUnscored(batch, bad)
    return result
  }

  return async (batch: BatchPayload, context: Context, onDecoded: () => void): Promise<BatchResult> => {
    const { signal, again, failures } = context
    const care = careFor(failures)
    try {
      const fields = fieldsOf(batch, context)
      const result = await (care === 'together'
        ? shared.score(batch, { signal, fields, onDecoded, manner: { again } })
        : scoreAlone(batch, context, care))
      deaths = 0
      return result
    } catch (error) {
      if (!signal.aborted && classify(error) === 'resource' && ++deaths >= deathsInARow)
        await proveFit(signal)
      throw error
    }
  }
}

type Context = Omit<WorkContext, 'childFailures'>

const fieldsOf = ({ jobId, index, copyOf }: BatchPayload, { attempt }: Context) => ({
  queue: 'batch',
  job: jobId,
  entry: copyOf === undefined ? entryIds.batch(jobId, index) : entryIds.copy(jobId, index),
  attempt,
})

/** What work failed of that may be to blame itself; other errors are thrown. */
async function blamed(work: Promise<unknown>, signal: AbortSignal): Promise<Error | undefined> {
  try {
    await work
    return undefined
  } catch (error) {
    if (signal.aborted || !suspect.has(classify(error))) throw error
    return error as Error
  }
}

function unscorable({ frames, why }: Isolated): PoisonError {
  const [first = 0] = frames
  return new PoisonError(
    `Frame ${first} can't be scored: ${why?.message ?? 'it fails alone'}. With onError "passthrough" it would go through unscored.`,
    { frames, cause: why },
  )
}
