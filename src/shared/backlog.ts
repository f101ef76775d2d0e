import type { Redis } from 'ioredis'
import type { KeyTypes } from './key-types.ts'

/**
 * What is still to be done, and whose it is: admission asks it. Frames are counted here by what work weighs: rows of a table are
 * some thousand to a frame (see `weightOf`).
 *
 *   <prefix>:open           set of the clients that have jobs in line
 *   <prefix>:open:<client>  hash: id → frames that are not committed yet, of each of its jobs that has not ended
 *   <prefix>:pace:<minute>  frames that the whole fleet committed in that minute; gone a while later
 *
 * No sum is kept that could drift: sums are made of the entries whenever somebody asks. The entries follow from Blob,
 * and are put there again when Redis was wiped.
 */
export const backlogKeys = (prefix: string) => ({
  open: `${prefix}:open`,
  pace: (now: number) => `${prefix}:pace:${Math.floor(now / 60_000)}`,
})

const lineOf = (open: string, client: string) => `${open}:${client}`

/** What these keys are: the fixed ones, the minutes that are counted or asked for at `now`, and the lines of `clients`. */
export function backlogTypes(prefix: string, now: number, clients: string[]): KeyTypes {
  const { open, pace } = backlogKeys(prefix)
  // The next minute may begin before somebody looks again.
  const minutes = Array.from({ length: paceMinutes + 1 }, (_, ago) => pace(now + (1 - ago) * 60_000))
  const types: KeyTypes = { [open]: 'set' }
  for (const key of minutes) types[key] = 'counter'
  for (const client of clients) types[lineOf(open, client)] = 'hash'
  return types
}

export const paceKeptSeconds = 900
const paceMinutes = 6

export type Limits = {
  clientFrames: number
  clientJobs: number
  frames: number
}

/** Why a job may not come in, and what is before it. Frames are those not committed yet. */
export type Refusal = {
  why: 'client-jobs' | 'client-frames' | 'frames'
  /** Of everybody. */
  line: { frames: number; jobs: number }
  client: { frames: number; jobs: number }
}

// Whoever has nothing in line may add any one job: else a long film could never be scored.
const admitScript = `
local own = KEYS[1] .. ':' .. ARGV[2]
if redis.call('HEXISTS', own, ARGV[1]) == 1 then return {} end
local function sum(key)
  local left = redis.call('HVALS', key)
  local frames = 0
  for i = 1, #left do frames = frames + left[i] end
  return frames, #left
end
local wanted, frames, jobs = tonumber(ARGV[3]), 0, 0
for _, client in ipairs(redis.call('SMEMBERS', KEYS[1])) do
  local f, j = sum(KEYS[1] .. ':' .. client)
  frames = frames + f
  jobs = jobs + j
end
local ownFrames, ownJobs = sum(own)
local why
if ownJobs >= tonumber(ARGV[5]) then why = 'client-jobs'
elseif ownFrames > 0 and ownFrames + wanted > tonumber(ARGV[4]) then why = 'client-frames'
elseif frames > 0 and frames + wanted > tonumber(ARGV[6]) then why = 'frames' end
if why then return {why, frames, jobs, ownFrames, ownJobs} end
redis.call('HSET', own, ARGV[1], ARGV[3])
redis.call('SADD', KEYS[1], ARGV[2])
return {}`

const putScript = `
redis.call('HSETNX', KEYS[1] .. ':' .. ARGV[2], ARGV[1], ARGV[3])
redis.call('SADD', KEYS[1], ARGV[2])`

/** Takes job ARGV[1] out of the line KEYS[1]. */
export const dropScript = `
for _, client in ipairs(redis.call('SMEMBERS', KEYS[1])) do
  local own = KEYS[1] .. ':' .. client
  if redis.call('HDEL', own, ARGV[1]) == 1 and redis.call('EXISTS', own) == 0 then
    redis.call('SREM', KEYS[1], client)
  end
end`

export type Backlog = ReturnType<typeof createBacklog>

export function createBacklog(redis: Redis, prefix: string) {
  const keys = backlogKeys(prefix)
  return {
    /** Puts a job in line unless there is too much in it. A job that is in line already is never refused. */
    async admit(
      { id, client, frames }: { id: string; client: string; frames: number },
      limits: Limits,
    ): Promise<Refusal | undefined> {
      const most = [limits.clientFrames, limits.clientJobs, limits.frames]
      const answer = await redis.eval(admitScript, 1, keys.open, id, client, frames, ...most)
      const [why, all = 0, jobs = 0, own = 0, ownJobs = 0] = answer as [Refusal['why']?, ...number[]]
      return why && { why, line: { frames: all, jobs }, client: { frames: own, jobs: ownJobs } }
    },
    /** Puts an accepted job in line, whatever is in it; one that is there already stays as it is. */
    async put(id: string, client: string, frames: number): Promise<void> {
      await redis.eval(putScript, 1, keys.open, id, client, frames)
    },
    async drop(id: string): Promise<void> {
      await redis.eval(dropScript, 1, keys.open, id)
    },
    /** The jobs in line. */
    async list(): Promise<string[]> {
      const clients = await redis.smembers(keys.open)
      return (await Promise.all(clients.map((client) => redis.hkeys(lineOf(keys.open, client))))).flat()
    },
    /** Frames that are not committed yet of each job in line, by whose it is. */
    async left(): Promise<Map<string, Map<string, number>>> {
      const clients = await redis.smembers(keys.open)
      const reading = redis.pipeline()
      for (const client of clients) reading.hgetall(lineOf(keys.open, client))
      const lines = (await reading.exec()) ?? []
      const framesOf = (line: unknown) =>
        new Map(Object.entries(line ?? {}).map(([id, frames]) => [id, Math.max(0, Number(frames) || 0)]))
      return new Map(clients.map((client, i) => [client, framesOf(lines[i]?.[1])]))
    },
    /** The jobs that a client has in line. */
    async jobsOf(client: string): Promise<string[]> {
      return await redis.hkeys(lineOf(keys.open, client))
    },
    /** Those who have jobs in line. */
    async clients(): Promise<string[]> {
      return await redis.smembers(keys.open)
    },
    /** Frames a second of the whole fleet over the last minutes; undefined when nothing was done. */
    async pace(now = Date.now()): Promise<number | undefined> {
      const minutes = Array.from({ length: paceMinutes }, (_, ago) => keys.pace(now - ago * 60_000))
      return paceOf((await redis.mget(...minutes)).map(Number), (now % 60_000) / 1_000)
    },
  }
}

/** Frames a second, from frames in each minute, the present one first, of which so many seconds have passed. */
export function paceOf(minutes: number[], seconds: number): number | undefined {
  const first = minutes.findLastIndex((frames) => frames > 0)
  if (first < 0) return undefined
  const frames = minutes.reduce((sum, count) => sum + count, 0)
  return frames / Math.max(1, first * 60 + seconds)
}
