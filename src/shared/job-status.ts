import type { Redis } from 'ioredis'
import { backlogKeys, dropScript } from './backlog.ts'
import { incidentKeys } from './incidents.ts'
import { type JobKind, products, units, videoKind } from './job-kind.ts'
import type { JobState } from './job.ts'
import {
  commitScript,
  recountScript,
  lineUpScript,
  progressScript,
  createScript,
  advanceScript,
  endScript,
  haltScript,
  publishScript,
  workedScript,
} from './job-status-scripts.ts'
import type { KeyTypes } from './key-types.ts'
import { weightOf } from './weight.ts'

/**
 * The live state of jobs: what `GET /v1/jobs/:id` answers from, in a handful of small keys. It may be lost: the truth
 * (request, plan, segments, report) lies in Blob.
 *
 *   <prefix>:job:<id>         hash: state, counters, times, the error, the halt word
 *   <prefix>:job:<id>:done    bitmap of committed batches, so that a batch counts once however often it is committed
 *   <prefix>:job:<id>:active  hash: batch index → frames done so far, of batches being scored
 *   <prefix>:jobs             sorted set of ids by time of creation
 */
const listKey = (prefix: string) => `${prefix}:jobs`

function keysOf(prefix: string, id: string) {
  const hash = `${prefix}:job:${id}`
  return [hash, `${hash}:done`, `${hash}:active`] as const
}

/** What the list of jobs is. */
export const listType = (prefix: string): KeyTypes => ({ [listKey(prefix)]: 'zset' })

/** What the keys of a job are, in this order: its hash, its committed batches, its batches under way. */
export function statusTypes(prefix: string, id: string): KeyTypes {
  const [hash, done, active] = keysOf(prefix, id)
  return { [hash]: 'hash', [done]: 'string', [active]: 'hash' }
}

export type Halt = 'cancelled' | 'failed'

export type JobStatus = {
  id: string
  state: JobState
  createdAt: number
  scoringAt?: number
  endedAt?: number
  model: string
  /** `WIDTHxHEIGHT` of the video, upright, once it is planned; of a table `FEATURESx1`. */
  size?: string
  source: string
  /** Whose it is: a digest of the token. */
  client?: string
  /** As it was asked for. */
  priority?: number
  /** What its frames are, and what is made of them. */
  kind?: JobKind
  framesTotal?: number
  framesDone: number
  /** Of these, the ones that were done before scoring began, the last time it did. */
  framesBefore?: number
  batchesTotal?: number
  /** Milliseconds that workers were busy with its batches, whatever came of it. */
  workedMs?: number
  halt?: Halt
  errorCode?: string
  error?: string
  output?: string
}

/** What tells how much there is to do, and for whom. `model`: by what its pace is known; of several the first. */
export type JobWork = Pick<
  JobStatus,
  'model' | 'size' | 'framesTotal' | 'batchesTotal' | 'client' | 'priority' | 'halt'
> & {
  /** The same of each of several. */
  models?: string[]
  /** What all of it weighs in line, once it is planned. */
  weight?: number
}
const workFields = [
  ...(['model', 'size', 'framesTotal', 'batchesTotal', 'client', 'priority', 'halt'] as const),
  ...(['paceModels', 'weight'] as const),
] as const

const keepEndedIncidentsSeconds = 86_400

export type JobStatuses = ReturnType<typeof createJobStatuses>

export function createJobStatuses(redis: Redis, prefix: string, keepEndedSeconds = 7 * 86_400) {
  const list = listKey(prefix)
  const keys = (id: string) => keysOf(prefix, id)
  const backlog = backlogKeys(prefix)
  const run = (script: string, id: string, ...args: (string | number)[]) =>
    redis.eval(script, 5, ...keys(id), backlog.pace(Date.now()), backlog.open, ...args)

  return {
    /** Notes an accepted job, halted at once if it is made anew after that; doing it again changes nothing. */
    async create(job: {
      id: string
      createdAt: number
      model: string
      source: string
      client?: string
      priority?: number
      kind?: JobKind
      halt?: Halt
      /** By what the pace of each of its models is known, where it has several. */
      paceModels?: string[]
    }): Promise<void> {
      const { createdAt, model, source, client = '-', halt = '', priority = 5, kind = videoKind } = job
      const { unit, makes } = kind
      const models = job.paceModels?.join('\n') ?? ''
      await run(createScript, job.id, createdAt, model, source, client, halt, priority, unit, makes, models)
      await redis.zadd(list, 'NX', job.createdAt, job.id)
    },
    async get(id: string): Promise<JobStatus | undefined> {
      const [hash, , active] = keys(id)
      const [fields, running] = await Promise.all([redis.hgetall(hash), redis.hvals(active)])
      if (!fields['state']) return undefined
      return parse(id, fields, sum(running))
    },
    /** The same of several jobs, in one trip. */
    async getAll(ids: string[]): Promise<(JobStatus | undefined)[]> {
      const reading = redis.pipeline()
      for (const id of ids) reading.hgetall(keys(id)[0]).hvals(keys(id)[2])
      const found = (await reading.exec()) ?? []
      return ids.map((id, i) => {
        const [[failed, fields], [lost, running]] = [found[2 * i] ?? [], found[2 * i + 1] ?? []]
        // A key of another type is the sweeper's business.
        if (failed || lost) return undefined
        const known = (fields ?? {}) as Record<string, string>
        return known['state'] ? parse(id, known, sum((running ?? []) as string[])) : undefined
      })
    },
    /** A worker was busy with the job for so long. */
    async worked(id: string, ms: number): Promise<void> {
      await run(workedScript, id, Math.round(ms))
    },
    /** What is to be scored in each of these jobs; undefined for one that is not known. In trips of 500. */
    async works(ids: string[]): Promise<(JobWork | undefined)[]> {
      const found: (JobWork | undefined)[] = []
      for (let from = 0; from < ids.length; from += 500) {
        const reading = redis.pipeline()
        for (const id of ids.slice(from, from + 500)) reading.hmget(keys(id)[0], ...workFields)
        found.push(...((await reading.exec()) ?? []).map(([, fields]) => workOf(fields)))
      }
      return found
    },
    /** Since when the jobs among these are scored that have batches nobody has begun, in ms. In trips of 500. */
    async waitingSince(ids: string[]): Promise<number[]> {
      const since: number[] = []
      for (let from = 0; from < ids.length; from += 500) {
        const reading = redis.pipeline()
        const some = ids.slice(from, from + 500).map(keys)
        for (const [hash, done, active] of some)
          reading.hmget(hash, 'scoringAt', 'batchesTotal').bitcount(done).hlen(active)
        const found = (await reading.exec()) ?? []
        for (let i = 0; i < some.length; i++) {
          const [facts, done, active] = found
            .slice(3 * i, 3 * i + 3)
            .map(([error, value]) => (error ? null : value))
          const [at, total] = ((facts ?? []) as (string | null)[]).map(Number)
          if (at && (total ?? 0) > Number(done) + Number(active)) since.push(at)
        }
      }
      return since
    },
    /** Frames done so far in the batches under way of each of these jobs, by batch. */
    async underWay(ids: string[]): Promise<Map<number, number>[]> {
      const reading = redis.pipeline()
      for (const id of ids) reading.hgetall(keys(id)[2])
      return ((await reading.exec()) ?? []).map(
        ([error, fields]) =>
          new Map(
            Object.entries(error ? {} : (fields ?? {})).map(([index, done]) => [Number(index), Number(done)]),
          ),
      )
    },
    /** Whether each of these batches was committed by somebody. */
    async committed(batches: { jobId: string; index: number }[]): Promise<boolean[]> {
      const reading = redis.pipeline()
      for (const { jobId, index } of batches) reading.getbit(keys(jobId)[1], index)
      return ((await reading.exec()) ?? []).map(([, bit]) => bit === 1)
    },
    /** How many jobs were accepted after that, in ms. */
    async since(at: number): Promise<number> {
      return await redis.zcount(list, at, '+inf')
    },
    /** Newest first. */
    async list(offset: number, limit: number): Promise<string[]> {
      return await redis.zrevrange(list, offset, offset + limit - 1)
    },
    /** Moves on to a state, unless the job has ended; answers whether it did. */
    async advance(
      id: string,
      state: JobState,
      fields: Record<string, string | number> = {},
    ): Promise<boolean> {
      const args = Object.entries({ ...fields, state }).flat()
      return (await run(advanceScript, id, ...args)) === 1
    },
    /** The last step: the keys live on for a while so that the result can be asked for, and then go. */
    async end(id: string, state: JobState, fields: Record<string, string | number>): Promise<boolean> {
      const args = Object.entries({ ...fields, endedAt: Date.now(), state }).flat()
      const moved = (await run(endScript, id, ...args)) === 1
      const [hash, done, active] = keys(id)
      const longAgo = Date.now() - keepEndedSeconds * 1_000
      const [latest, counts] = incidentKeys(prefix, id)
      await redis
        .multi()
        .expire(hash, keepEndedSeconds)
        .del(done, active)
        // The report has them.
        .expire(latest, keepEndedIncidentsSeconds, 'LT')
        .expire(counts, keepEndedIncidentsSeconds, 'LT')
        .eval(dropScript, 1, backlog.open, id)
        .zremrangebyscore(list, 0, longAgo)
        .exec()
      return moved
    },
    /**
     * Says that the job is not to go on: workers drain its batches from then on. Answers the halt that holds, which is
     * the first one; `too late` when the job has ended or is being published; `unknown` when Redis doesn't know it.
     */
    async halt(
      id: string,
      halt: Halt,
      error?: { code: string; message: string },
    ): Promise<Halt | 'too late' | 'unknown'> {
      return (await run(haltScript, id, halt, error?.code ?? '', error?.message ?? '')) as
        | Halt
        | 'too late'
        | 'unknown'
    },
    /**
     * The point of no return: from here on the job can't be cancelled. Otherwise answers the halt word that came before;
     * `ended`; or `unknown` when Redis has lost what was said of it, so that nobody knows whether it was cancelled.
     */
    async beginPublishing(id: string): Promise<Halt | 'ended' | 'unknown' | undefined> {
      return ((await run(publishScript, id)) ?? undefined) as Halt | 'ended' | 'unknown' | undefined
    },
    /** Whether all is there that was noted when the job was accepted. */
    async isNoted(id: string): Promise<boolean> {
      return (await redis.hexists(keys(id)[0], 'createdAt')) === 1
    },
    async halted(id: string): Promise<Halt | undefined> {
      return ((await redis.hget(keys(id)[0], 'halt')) ?? undefined) as Halt | undefined
    },
    /**
     * Reports frames done so far in a batch, unless somebody else does; answers why nobody waits for it any more, if so: the halt
     * word, that the job has ended, or that the batch was committed meanwhile.
     */
    async progress(
      id: string,
      batch: number,
      frames?: number,
    ): Promise<Halt | 'ended' | 'committed' | undefined> {
      const word = await run(progressScript, id, batch, frames ?? '')
      return (word ?? undefined) as Halt | 'ended' | 'committed' | undefined
    },
    /** Counts a batch as done, once; answers whether it came too late for that, or the job is not known. */
    async commit(id: string, batch: number, frames: number): Promise<'counted' | 'ended' | 'unknown'> {
      return (await run(commitScript, id, batch, frames, id)) as 'counted' | 'ended' | 'unknown'
    },
    /**
     * The plan is made; batches that were committed earlier (number → frames) are counted, but say nothing about how
     * fast the job goes from now on.
     */
    async beginScoring(
      id: string,
      plan: {
        frames: number
        batches: number[]
        video?: { width: number; height: number }
        size?: string | undefined
      },
      committed: Map<number, number>,
    ): Promise<void> {
      const size = plan.video ? `${plan.video.width}x${plan.video.height}` : plan.size
      await this.advance(id, 'scoring', {
        framesTotal: plan.frames,
        batchesTotal: plan.batches.length,
        ...(size ? { size } : {}),
        weight: weightOf(plan),
        framesBefore: [...committed.values()].reduce((sum, frames) => sum + frames, 0),
        scoringAt: Date.now(),
      })
      const counted = [...committed]
      for (let from = 0; from < counted.length; from += 500) {
        await run(recountScript, id, ...counted.slice(from, from + 500).flat())
      }
      await run(lineUpScript, id, id)
    },
    /** Forgets a job; what is known of it lies in Blob. */
    async forget(id: string): Promise<void> {
      await redis
        .multi()
        .del(...keys(id))
        .zrem(list, id)
        .eval(dropScript, 1, backlog.open, id)
        .exec()
    },
    /** A batch that was given back or failed shows no progress any more. */
    async release(id: string, batch: number): Promise<void> {
      await redis.hdel(keys(id)[2], String(batch))
    },
  }
}

const sum = (numbers: string[]) => numbers.reduce((total, each) => total + Number(each), 0)

function workOf(fields: unknown): JobWork | undefined {
  if (!Array.isArray(fields)) return undefined
  const [named, size, frames, batches, client, priority, halt, several, weight] = fields as (string | null)[]
  const models = several?.split('\n')
  const model = models?.[0] ?? named
  if (!model) return undefined
  const count = (text?: string | null) => (text ? Number(text) : undefined)
  return {
    ...{ model, models, weight: count(weight) },
    ...{ size: size ?? undefined, client: client ?? undefined },
    ...{ framesTotal: count(frames), batchesTotal: count(batches), priority: count(priority) },
    halt: (halt ?? undefined) as Halt | undefined,
  }
}

function readKind(unit = '', makes = ''): JobKind {
  const known = { unit: units.find((each) => each === unit), makes: products.find((each) => each === makes) }
  return { unit: known.unit ?? videoKind.unit, makes: known.makes ?? videoKind.makes }
}

function parse(id: string, fields: Record<string, string>, underWay: number): JobStatus {
  const number = (name: string) => (fields[name] === undefined ? undefined : Number(fields[name]))
  const total = number('framesTotal')
  return {
    id,
    state: fields['state'] as JobState,
    createdAt: number('createdAt') ?? 0,
    scoringAt: number('scoringAt'),
    endedAt: number('endedAt'),
    model: fields['model'] ?? '',
    size: fields['size'],
    source: fields['source'] ?? '',
    client: fields['client'],
    priority: number('priority'),
    kind: readKind(fields['unit'], fields['makes']),
    framesTotal: total,
    framesDone: Math.min(total ?? Infinity, (number('framesDone') ?? 0) + underWay),
    framesBefore: number('framesBefore'),
    batchesTotal: number('batchesTotal'),
    workedMs: number('workedMs'),
    halt: fields['halt'] as Halt | undefined,
    errorCode: fields['errorCode'],
    error: fields['error'],
    output: fields['output'],
  }
}
