import { type ErrorClass, classify, suspect } from '../shared/classify.ts'
import { InputError, PoisonError } from '../shared/errors.ts'
import { type Incidents, incidentOf } from '../shared/incidents.ts'
import type { BatchPayload, BatchResult } from '../shared/job.ts'
import type { JobStatuses } from '../shared/job-status.ts'
import type { Quarantine } from '../shared/quarantine.ts'
import { entryIds } from '../shared/queues.ts'
import type { Span } from '../shared/tracing.ts'
import type { WorkContext } from '../shared/workload.ts'
import type { Isolated } from './isolate.ts'

export type BatchDeps = {
  score(batch: BatchPayload, context: WorkContext, onDecoded: () => void): Promise<BatchResult>
  statuses: Pick<JobStatuses, 'halt' | 'halted'>
  incidents: Incidents
  quarantine: Pick<Quarantine, 'put'>
  /** What became of a batch that somebody else has committed. */
  committed(batch: BatchPayload): Promise<BatchResult | undefined>
}

/** What a worker does with an entry of the batch queue, and with one that will not be tried again. */
export function createBatchWork({ score, statuses, incidents, quarantine, committed }: BatchDeps) {
  return {
    workload: (onDecoded: () => void) => ({
      queue: 'batch' as const,
      process: async (batch: BatchPayload, context: WorkContext): Promise<BatchResult> => {
        // Asked here too, so that the batches of a job that was halted drain without troubling the engine.
        if (await statuses.halted(batch.jobId))
          return { frames: 0, replaced: [], through: [], ms: {}, skipped: 'halted' }
        try {
          const result = await score(batch, context, onDecoded)
          tellPhases(context.span, result, Date.now())
          return result
        } catch (error) {
          if (context.signal.aborted) throw error
          // It has a copy that went well, or is one: then nothing was lost by its failure.
          const there = await committed(batch).catch(() => undefined)
          if (!there) throw error
          context.log.warn({ err: error }, 'failed, and was committed by somebody else')
          return there
        }
      },
      onTerminalFailure: end,
    }),
    /**
     * Halts the job of a batch that has failed for good; what may be poison goes into quarantine with its evidence. Nobody waits
     * for a copy: its failure is nothing but an incident.
     */
    end,
  }

  async function end(batch: BatchPayload, error: Error, kind: ErrorClass = classify(error)): Promise<void> {
    if (batch.copyOf !== undefined) return
    if (suspect.has(kind)) {
      const frames = error instanceof PoisonError ? error.frames : []
      await quarantine.put(await recordOf(incidents, batch, error, frames))
    }
    await statuses.halt(batch.jobId, 'failed', batchFailure(batch.index, error))
  }
}

/**
 * What took how long, as parts of the batch's span. Decoding, scoring and encoding go on at once, between what was fetched and
 * the upload: how long each was at work is said of the part in which they did it.
 */
function tellPhases(span: Span | undefined, { ms, device, skipped }: BatchResult, to: number): void {
  const { fetch = 0, decode = 0, infer = 0, encode = 0, upload = 0, total = 0 } = ms
  span?.set({ 'framefleet.device': device, 'framefleet.skipped': skipped })
  if (!span || total === 0) return
  const [from, uploading] = [to - total, to - upload]
  span.part('fetch', { from, to: from + fetch })
  const busy = {
    'framefleet.decode_ms': decode,
    'framefleet.infer_ms': infer,
    'framefleet.encode_ms': encode,
  }
  span.part('score', { from: from + fetch, to: uploading }, busy)
  span.part('upload', { from: uploading, to })
}

/** Quarantines frames that the model can't score, while their job goes on without them. */
export function quarantineUnscored({ incidents, quarantine }: Pick<BatchDeps, 'incidents' | 'quarantine'>) {
  return async (batch: BatchPayload, { frames, why }: Isolated): Promise<void> => {
    const error = why ?? new PoisonError('they fail alone')
    await quarantine.put(await recordOf(incidents, batch, error, frames))
  }
}

async function recordOf(incidents: Incidents, batch: BatchPayload, error: Error, frames: number[]) {
  const { jobId, index, first, count } = batch
  const entry = entryIds.batch(jobId, index)
  const noted = (await incidents.of(jobId)).filter((incident) => incident.entry === entry)
  const last = incidentOf(error, { queue: 'batch', entry, class: classify(error), attempt: noted.length })
  return {
    v: 1 as const,
    at: last.at,
    queue: 'batch',
    entry,
    jobId,
    reason: 'poison' as const,
    message: last.message,
    // Where no frame was found guilty, all of them are suspects.
    frames: (frames.length > 0 ? frames : Array.from({ length: count }, (_, i) => first + i)).slice(0, 1_000),
    incidents: (noted.length > 0 ? noted : [last]).slice(-20),
    payload: JSON.stringify(batch),
  }
}

/** Why a job failed, when one of its batches did: a code for programs and one sentence. */
function batchFailure(index: number, error: Error): { code: string; message: string } {
  if (error instanceof InputError) return { code: error.code, message: error.message }
  if (error instanceof PoisonError && error.frames.length > 0)
    return { code: 'unscorable-frame', message: error.message }
  return {
    code: 'batch-failed',
    message: `Batch ${index} failed each time it was tried: ${error.message}`,
  }
}
