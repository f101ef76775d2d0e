import type { Redis } from 'ioredis'

/**
 * What is still to be done, and whose it is: admission asks it.
 *
 *   <prefix>:open           hash: id → client, frames, when it was put there; of every job that has not ended
 *   <prefix>:pace:<minute>  frames that the whole fleet committed in that minute; gone a while later
 *
 * No sum is kept that could drift: sums are made of the entries whenever somebody asks. The entries follow from Blob,
 * and are put there again when Redis was wiped.
 */
export const backlogKeys = (prefix: string) => ({
  open: `${prefix}:open`,
  pace: (now: number) => `${prefix}:pace:${Math.floor(now / 60_000)}`,
})

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

// Frames done are looked up only where all frames together are too many: most calls read one hash.
// Whoever has nothing in line may add any one job: else a long film could never be scored.
const admitScript = `
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1 then return {} end
local entries = redis.call('HGETALL', KEYS[1])
local wanted = tonumber(ARGV[3])
local function sums(left)
  local all, own, jobs = 0, 0, 0
  for i = 1, #entries, 2 do
    local client, frames = string.match(entries[i + 1], '^(%S+) (%d+)')
    frames = tonumber(frames) or 0
    if left then
      frames = math.max(0, frames - tonumber(redis.call('HGET', ARGV[8] .. entries[i], 'framesDone') or 0))
    end
    all = all + frames
    if client == ARGV[2] then own = own + frames; jobs = jobs + 1 end
  end
  return all, own, jobs
end
local function refused(all, own, jobs)
  if jobs >= tonumber(ARGV[6]) then return 'client-jobs' end
  if own > 0 and own + wanted > tonumber(ARGV[5]) then return 'client-frames' end
  if all > 0 and all + wanted > tonumber(ARGV[7]) then return 'frames' end
end
local all, own, jobs = sums(false)
if refused(all, own, jobs) then
  all, own, jobs = sums(true)
  local why = refused(all, own, jobs)
  if why then return {why, all, #entries / 2, own, jobs} end
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. ' ' .. ARGV[3] .. ' ' .. ARGV[4])
return {}`

// A job that has ended meanwhile stays out of the line.
const plannedScript = `
local entry = redis.call('HGET', KEYS[1], ARGV[1])
if not entry then return 0 end
local client, at = string.match(entry, '^(%S+) %d+ (%d+)')
redis.call('HSET', KEYS[1], ARGV[1], client .. ' ' .. ARGV[2] .. ' ' .. at)
return 1`

export type Backlog = ReturnType<typeof createBacklog>

export function createBacklog(redis: Redis, prefix: string) {
  const keys = backlogKeys(prefix)
  const entry = (client: string, frames: number) => `${client || '-'} ${frames} ${Date.now()}`

  return {
    /** Puts a job in line unless there is too much in it. A job that is in line already is never refused. */
    async admit(
      { id, client, frames }: { id: string; client: string; frames: number },
      limits: Limits,
    ): Promise<Refusal | undefined> {
      const args = [id, client || '-', frames, Date.now()]
      const most = [limits.clientFrames, limits.clientJobs, limits.frames]
      const answer = await redis.eval(admitScript, 1, keys.open, ...args, ...most, `${prefix}:job:`)
      const [why, all = 0, jobs = 0, own = 0, ownJobs = 0] = answer as [Refusal['why']?, ...number[]]
      return why && { why, line: { frames: all, jobs }, client: { frames: own, jobs: ownJobs } }
    },
    /** Puts an accepted job in line, whatever is in it; one that is there already stays as it is. */
    async put(id: string, client: string, frames: number): Promise<void> {
      await redis.hsetnx(keys.open, id, entry(client, frames))
    },
    /** The frames of a job, once they have been counted. */
    async planned(id: string, frames: number): Promise<void> {
      await redis.eval(plannedScript, 1, keys.open, id, frames)
    },
    async drop(...ids: string[]): Promise<void> {
      if (ids.length > 0) await redis.hdel(keys.open, ...ids)
    },
    /** The jobs in line, and when each was put there. */
    async list(): Promise<Map<string, number>> {
      const entries = Object.entries(await redis.hgetall(keys.open))
      return new Map(entries.map(([id, value]) => [id, Number(value.split(' ')[2] ?? 0)]))
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
