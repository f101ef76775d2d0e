import type { Redis } from 'ioredis'
import { z } from 'zod'
import { batchStarts } from './frame-times.ts'
import type { Incident } from './incident.ts'
import { BatchResult, type JobPlan, Timings } from './job.ts'
import { entryIds } from './queues.ts'

/** What is known of one batch of a job: where it is, who has or had it, and what went wrong on the way. */
export const BatchView = z
  .object({
    index: z.number().int(),
    first: z.number().int().describe('its first frame'),
    frames: z.number().int(),
    state: z.enum(['waiting', 'active', 'done', 'failed', 'skipped']),
    framesDone: z.number().int(),
    worker: z.string().nullable().describe('who had it last'),
    startedAt: z.iso.datetime().nullable(),
    seconds: z.number().nullable().describe('from its last claim to its end, or until now'),
    failures: z.number().int().describe('of the latest hundred of the job'),
    error: z.string().nullable().describe('what failed last'),
    unscored: z
      .array(z.number().int())
      .max(1_000)
      .describe("frames that show another one's picture, or the source's"),
    ms: Timings.describe('milliseconds by phase, which overlap'),
  })
  .meta({ id: 'Batch' })
export type BatchView = z.infer<typeof BatchView>

/** `timeline.json`: every batch, as it was when the job ended. */
export const Timeline = z.object({ v: z.literal(1), batches: z.array(BatchView) })

/** What the queue's entry of a batch says; all of it may be lost. */
export type BatchEntry = {
  locked: boolean
  startedAt?: number
  endedAt?: number
  worker?: string
  failed?: string
  result?: BatchResult
}

/** The entries of so many batches, in one trip for five hundred. `keyOf` is the queue's own. */
export async function readEntries(
  redis: Redis,
  keyOf: (entry: string) => string,
  { jobId, from, to }: { jobId: string; from: number; to: number },
): Promise<BatchEntry[]> {
  const entries: BatchEntry[] = []
  for (let at = from; at < to; at += 500) {
    const reading = redis.pipeline()
    for (let index = at; index < Math.min(to, at + 500); index++) {
      const key = keyOf(entryIds.batch(jobId, index))
      reading.hmget(key, 'processedOn', 'finishedOn', 'pb', 'failedReason', 'returnvalue')
      reading.exists(`${key}:lock`)
    }
    const found = (await reading.exec()) ?? []
    for (let i = 0; i < found.length; i += 2) {
      const [error, fields] = found[i] ?? []
      entries.push(entryOf(error ? [] : (fields as (string | null)[]), found[i + 1]?.[1] === 1))
    }
  }
  return entries
}

function entryOf([started, ended, worker, failed, result]: (string | null)[], locked: boolean): BatchEntry {
  return {
    locked,
    ...(Number(started) > 0 ? { startedAt: Number(started) } : {}),
    ...(Number(ended) > 0 ? { endedAt: Number(ended) } : {}),
    ...(worker ? { worker } : {}),
    ...(failed ? { failed } : {}),
    ...(result ? { result: resultOf(result) } : {}),
  }
}

function resultOf(text: string): BatchResult | undefined {
  try {
    return BatchResult.safeParse(JSON.parse(text)).data
  } catch {
    return undefined
  }
}

type Known = {
  plan: Pick<JobPlan, 'batches'>
  jobId: string
  /** The first batch that is asked for; as many as there are entries. */
  from: number
  entries: BatchEntry[]
  incidents: Incident[]
  /** Whether each was committed, as far as that is still known. */
  committed: boolean[]
  /** Frames done so far, by batch. */
  underWay: Map<number, number>
  now: number
}

/** Batches as people see them. Pure. */
export function viewBatches({ plan, jobId, from, entries, ...known }: Known): BatchView[] {
  const starts = batchStarts(plan.batches)
  const troubles = Map.groupBy(known.incidents, ({ entry }) => entry)
  return entries.map((entry, i) => {
    const index = from + i
    const frames = plan.batches[index] ?? 0
    const state = stateOf(entry, known.committed[i] ?? false)
    const trouble = troubles.get(entryIds.batch(jobId, index)) ?? []
    const { startedAt, endedAt = known.now, result } = entry
    const tried = startedAt !== undefined && state !== 'waiting'
    return {
      ...{ index, first: starts[index] ?? 0, frames, state },
      framesDone: state === 'done' ? frames : state === 'active' ? (known.underWay.get(index) ?? 0) : 0,
      worker: entry.worker ?? null,
      startedAt: tried ? new Date(startedAt).toISOString() : null,
      seconds: tried ? Math.max(0, endedAt - startedAt) / 1_000 : null,
      failures: trouble.length,
      error: trouble.at(-1)?.message ?? (state === 'failed' ? (entry.failed ?? null) : null),
      unscored: [...(result?.replaced ?? []), ...(result?.through ?? [])].slice(0, 1_000),
      ms: result?.ms ?? {},
    }
  })
}

function stateOf({ locked, endedAt, failed, result }: BatchEntry, committed: boolean): BatchView['state'] {
  if (committed) return 'done'
  if (endedAt === undefined) return locked ? 'active' : 'waiting'
  if (failed !== undefined && result === undefined) return 'failed'
  if (result?.skipped === undefined || result.skipped === 'committed') return 'done'
  return 'skipped'
}
