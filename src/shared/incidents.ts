import { hostname } from 'node:os'
import type { Redis } from 'ioredis'
import { type ErrorClass, errorClasses } from './classify.ts'
import { Incident } from './incident.ts'
import type { KeyTypes } from './key-types.ts'
import { redact } from './redact.ts'

/**
 * What went wrong with a job's work, on whatever worker it did: kept beside the job's status until a day after its
 * end, and bounded.
 *
 *   <prefix>:job:<id>:incidents  list of the latest incidents, newest first
 *   <prefix>:job:<id>:failures   hash: entry and class → how often
 */
export const incidentKeys = (prefix: string, jobId: string) =>
  [`${prefix}:job:${jobId}:incidents`, `${prefix}:job:${jobId}:failures`] as const

/** What these keys are. */
export function incidentTypes(prefix: string, jobId: string): KeyTypes {
  const [list, counts] = incidentKeys(prefix, jobId)
  return { [list]: 'list', [counts]: 'hash' }
}

export type Incidents = ReturnType<typeof createIncidents>

/** How often an entry has failed, by class. */
export type Failures = Partial<Record<ErrorClass, number>>

const mostKept = 100
const keepSeconds = 7 * 86_400

const noteScript = `
redis.call('LPUSH', KEYS[1], ARGV[1])
redis.call('LTRIM', KEYS[1], 0, ${mostKept - 1})
redis.call('HINCRBY', KEYS[2], ARGV[2] .. ' ' .. ARGV[3], 1)
redis.call('EXPIRE', KEYS[1], ${keepSeconds})
redis.call('EXPIRE', KEYS[2], ${keepSeconds})`

export function createIncidents(redis: Redis, prefix: string) {
  const list = (jobId: string) => incidentKeys(prefix, jobId)[0]
  const counts = (jobId: string) => incidentKeys(prefix, jobId)[1]

  async function failuresOf(jobId: string, entry: string): Promise<Failures> {
    const found = await redis.hmget(counts(jobId), ...errorClasses.map((kind) => `${entry} ${kind}`))
    return Object.fromEntries(
      errorClasses.flatMap((kind, i) => (found[i] === null ? [] : [[kind, Number(found[i])]])),
    )
  }

  return {
    failuresOf,
    async note(jobId: string, incident: Incident): Promise<Failures> {
      const { entry, class: kind } = incident
      await redis.eval(noteScript, 2, list(jobId), counts(jobId), JSON.stringify(incident), entry, kind)
      return await failuresOf(jobId, entry)
    },
    /** A job that runs anew starts without a past. */
    async forget(jobId: string): Promise<void> {
      await redis.del(list(jobId), counts(jobId))
    },
    /** Oldest first. */
    async of(jobId: string): Promise<Incident[]> {
      const found = await redis.lrange(list(jobId), 0, -1)
      return found
        .map((text) => Incident.safeParse(JSON.parse(text)))
        .flatMap((read) => (read.success ? [read.data] : []))
        .toReversed()
    },
  }
}

/** An error as evidence; long texts are cut. */
export function incidentOf(
  error: Error,
  what: Pick<Incident, 'queue' | 'entry' | 'class' | 'attempt'>,
): Incident {
  const tail = tailOf(error)
  return {
    at: new Date().toISOString(),
    ...what,
    worker: `${hostname()}.${process.pid}`,
    message: redact(error.message).slice(0, 1_000),
    ...(tail === undefined ? {} : { tail: redact(tail).slice(-1_000) }),
  }
}

function tailOf(error: unknown, depth = 0): string | undefined {
  if (!(error instanceof Error) || depth > 8) return undefined
  const { tail } = error as { tail?: unknown }
  return typeof tail === 'string' && tail !== '' ? tail : tailOf(error.cause, depth + 1)
}
