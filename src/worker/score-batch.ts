import type { BlobStore } from '../shared/blob-store.ts'
import { CancelledError } from '../shared/errors.ts'
import { batchStarts } from '../shared/frame-times.ts'
import { type BatchPayload, type BatchResult, type JobSpec, makesVideo } from '../shared/job.ts'
import type { JobFiles } from '../shared/job-files.ts'
import type { JobStatuses } from '../shared/job-status.ts'
import { haltSignal } from '../shared/halt-signal.ts'
import type { Scratch } from '../shared/scratch.ts'
import type { Logger } from '../shared/log.ts'
import { isItemsPlan } from '../shared/items/items-plan.ts'
import { committedBatch, removeCommitted } from './committed-batch.ts'
import { type ItemsDeps, scoreItems } from './items/score-items.ts'
import type { Manner } from './engine-protocol.ts'
import { type VideoDeps, scoreVideo } from './score-video.ts'

export type ScoreDeps = VideoDeps & {
  files: JobFiles
  statuses: JobStatuses
  media: BlobStore
  scratch: Scratch
  scorers: ItemsDeps['scorers']
}

/**
 * Scores one batch. Of a video: fetches the source (once for each machine), decodes the batch's frames, runs the model, encodes
 * and commits one segment, or one part where the model makes no pictures.
 *
 *   waiting ──claim──► fetching ──► scoring ──► committing ──► done
 *      ▲                  │            │            │
 *      │   told to leave  │            │            └─ past the point of no return: it finishes
 *      └────given back◄───┴────────────┘
 *
 * Once the last frame is decoded the next batch may begin: its frames fill the gaps that this one leaves at the model.
 *
 * Safe to run twice, and by two at once, as a slow batch and its copy are: the segment's name depends on the plan alone, and
 * the first commit wins. Whoever comes second hears of it with the next report of progress, and ends there.
 */
export function createScorer(deps: ScoreDeps) {
  const { files, statuses, media } = deps
  return async (entry: BatchPayload, steps: ScoreSteps): Promise<BatchResult> => {
    const { jobId, index } = entry
    const started = performance.now()
    const { trial } = steps.manner
    const isCopy = entry.copyOf !== undefined
    // Nobody waits for a copy: its job may have ended long ago.
    const useless = isCopy ? await statuses.progress(jobId, index) : await statuses.halted(jobId)
    if (useless && useless !== 'committed') return { ...nothing, skipped: 'halted' }
    const [spec, plan] = await Promise.all([files.spec(jobId), files.plan(jobId)])
    const count = plan.batches[index]
    // The plan is law: anybody can write on a queue.
    if (count === undefined) {
      steps.log.warn({ batches: plan.batches.length }, 'the plan has no such batch')
      return { ...nothing, skipped: 'unplanned' }
    }
    const batch = { jobId, index, first: batchStarts(plan.batches)[index] ?? 0, count }
    const there = (steps.manner.again || isCopy) && !trial ? await committedBatch(media, batch) : undefined
    if (there) {
      await statuses.commit(jobId, index, count)
      return there
    }
    let framesDone = 0
    let elsewhere: BatchResult | undefined
    const stop = haltSignal(steps.signal, async () => {
      if (trial) return await statuses.halted(jobId)
      // Of two at once, the first shows how far it is.
      const word = await statuses.progress(jobId, index, isCopy ? undefined : framesDone)
      if (word !== 'committed') return word
      // A segment that was lost since is to be made again, whatever Redis says.
      elsewhere = await committedBatch(media, batch)
      return elsewhere && word
    })
    try {
      const { ms, first, ...made } = await within(spec, stop.signal, async (signal) => {
        const onFrame = (done: number) => (framesDone = done)
        return await deps.scratch.within('batch', async (dir) =>
          isItemsPlan(plan)
            ? await scoreItems(deps, {
                ...{ dir, spec, plan, batch, signal, manner: steps.manner, log: steps.log },
                ...{ onScoring: steps.onScoring, onItem: onFrame, onFetched: steps.onDecoded },
              })
            : await scoreVideo(deps, { dir, spec, plan, batch, steps, started, signal, onFrame }),
        )
      })
      // No progress may be reported any more: it would be counted beside the committed frames.
      stop.close()
      const outcome = trial ? undefined : await statuses.commit(jobId, index, count)
      // Nobody will join it any more: the end has cleared up before this segment came.
      if (outcome === 'ended') await removeCommitted(media, batch, makesVideo(plan))
      if (!first) return (await committedBatch(media, batch)) ?? { ...nothing, skipped: 'committed' }
      const totalMs = performance.now() - started
      return { frames: trial?.count ?? count, ...made, ms: rounded({ ...ms, totalMs }) }
    } catch (error) {
      stop.close()
      if (!isCopy) await statuses.release(jobId, index)
      if (error instanceof CancelledError) return elsewhere ?? { ...nothing, skipped: 'halted' }
      throw error
    }
  }
}

/** Ends a try that takes longer than the job allows; it is tried again. */
async function within<T>(
  { request }: JobSpec,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const { timeoutSeconds } = request.batch
  if (timeoutSeconds === undefined) return await work(signal)
  const limit = AbortSignal.timeout(timeoutSeconds * 1_000)
  return await work(AbortSignal.any([signal, limit])).catch((error: unknown) => {
    if (signal.aborted || !limit.aborted) throw error
    throw new Error(`the batch took longer than its ${timeoutSeconds} s (batch.timeoutSeconds)`)
  })
}

/** How the work is told to stop, and whom it tells how far it is. */
export type ScoreSteps = {
  signal: AbortSignal
  log: Logger
  manner: Manner
  /** Its frames, or its model, are about to reach the runtime: what can kill a process. */
  onScoring(): void
  onDecoded(): void
}

const nothing = { frames: 0, replaced: [], through: [], ms: {} } satisfies BatchResult

function rounded(ms: Record<string, number>): Record<string, number> {
  return Object.fromEntries(
    Object.entries(ms).map(([phase, value]) => [phase.replace(/Ms$/, ''), Math.round(value)]),
  )
}
