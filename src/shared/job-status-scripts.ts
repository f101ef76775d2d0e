import { paceKeptSeconds } from './backlog.ts'
import { rowsPerFrame } from './rates.ts'

/**
 * What Redis does for job-status in one step. KEYS of each: the job's hash, its committed batches, its batches under way, this
 * minute's pace, the clients who have jobs in line.
 */

// What is left of a job weighs as much of its weight as its open frames are of all: nothing at the end, however it was rounded. A job
// that was planned by a version that knew no weights weighs its frames.
const leftFunction = `
local function left(total, weight, done)
  local open = math.max(0, total - done)
  if not weight or weight == total then return open end
  return math.ceil(weight * open / total)
end`

// A worker that comes too late must not bring back what the end, or a wiped Redis, has removed.
export const commitScript = `${leftFunction}
local state = redis.call('HGET', KEYS[1], 'state')
if not state then return 'unknown' end
if state == 'succeeded' or state == 'failed' or state == 'cancelled' then return 'ended' end
if redis.call('SETBIT', KEYS[2], ARGV[1], 1) == 0 then
  local done = redis.call('HINCRBY', KEYS[1], 'framesDone', ARGV[2])
  local job = redis.call('HMGET', KEYS[1], 'framesTotal', 'weight', 'client', 'unit')
  local line = KEYS[5] .. ':' .. (job[3] or '')
  local stood = tonumber(redis.call('HGET', line, ARGV[3]) or '')
  local total, weight = tonumber(job[1] or ''), tonumber(job[2] or '')
  local gone = tonumber(ARGV[2])
  local rest
  if total then
    rest = left(total, weight, done)
    gone = left(total, weight, done - gone) - rest
  else
    -- Its plan is not noted yet, or not again.
    if job[4] == 'rows' then gone = math.ceil(gone / ${rowsPerFrame}) end
    rest = math.max(0, (stood or 0) - gone)
  end
  redis.call('INCRBY', KEYS[4], gone)
  redis.call('EXPIRE', KEYS[4], ${paceKeptSeconds})
  if stood then redis.call('HSET', line, ARGV[3], rest) end
end
redis.call('HDEL', KEYS[3], ARGV[1])
return 'counted'`

// Also what came to nothing was paid for; a job that is not known is nobody's to pay.
export const workedScript = `
if redis.call('HEXISTS', KEYS[1], 'createdAt') == 1 then redis.call('HINCRBY', KEYS[1], 'workedMs', ARGV[1]) end`

export const recountScript = `
for i = 1, #ARGV, 2 do
  if redis.call('SETBIT', KEYS[2], ARGV[i], 1) == 0 then redis.call('HINCRBY', KEYS[1], 'framesDone', ARGV[i + 1]) end
end`

// From now on what is left of the job is known; until here it was estimated.
export const lineUpScript = `${leftFunction}
local job = redis.call('HMGET', KEYS[1], 'framesTotal', 'framesDone', 'weight')
local rest = left(tonumber(job[1] or 0), tonumber(job[3] or ''), tonumber(job[2] or 0))
for _, client in ipairs(redis.call('SMEMBERS', KEYS[5])) do
  local line = KEYS[5] .. ':' .. client
  if redis.call('HEXISTS', line, ARGV[1]) == 1 then
    redis.call('HSET', line, ARGV[1], rest)
    redis.call('HSET', KEYS[1], 'client', client)
  end
end`

// One trip a second from each working batch: it reports progress, if it has any, and learns whether anybody waits for it.
export const progressScript = `
local job = redis.call('HMGET', KEYS[1], 'state', 'halt')
if job[2] or not job[1] then return job[2] end
if job[1] == 'succeeded' or job[1] == 'failed' or job[1] == 'cancelled' then return 'ended' end
if redis.call('GETBIT', KEYS[2], ARGV[1]) == 1 then return 'committed' end
if ARGV[2] ~= '' then redis.call('HSET', KEYS[3], ARGV[1], ARGV[2]) end
return false`

export const createScript = `
if redis.call('HSETNX', KEYS[1], 'createdAt', ARGV[1]) == 0 then return 0 end
redis.call('HSETNX', KEYS[1], 'state', 'queued')
redis.call('HSETNX', KEYS[1], 'framesDone', 0)
redis.call('HSET', KEYS[1], 'model', ARGV[2], 'source', ARGV[3], 'client', ARGV[4], 'priority', ARGV[6],
  'unit', ARGV[7], 'makes', ARGV[8])
if ARGV[5] ~= '' then redis.call('HSETNX', KEYS[1], 'halt', ARGV[5]) end
if ARGV[9] ~= '' then redis.call('HSET', KEYS[1], 'paceModels', ARGV[9]) end
return 1`

// A state once ended stays.
export const advanceScript = `
local state = redis.call('HGET', KEYS[1], 'state')
if state == 'succeeded' or state == 'failed' or state == 'cancelled' then return 0 end
redis.call('HSET', KEYS[1], unpack(ARGV))
return 1`

// What Redis has forgotten is answered from Blob, which has the report by now.
export const endScript = `
if redis.call('HEXISTS', KEYS[1], 'state') == 0 then return 0 end
${advanceScript}`

// A halt keeps its first reason. It comes too late for a job that has ended or whose output is being published.
export const haltScript = `
local job = redis.call('HMGET', KEYS[1], 'state', 'halt', 'publishing')
if not job[1] then return 'unknown' end
if job[1] == 'succeeded' or job[1] == 'failed' or job[1] == 'cancelled' or job[3] then return 'too late' end
if job[2] then return job[2] end
redis.call('HSET', KEYS[1], 'halt', ARGV[1])
if ARGV[2] ~= '' then redis.call('HSET', KEYS[1], 'errorCode', ARGV[2], 'error', ARGV[3]) end
return ARGV[1]`

// What a role notes on its way may be all that is left of a status that was lost, with its halt word.
export const publishScript = `
local job = redis.call('HMGET', KEYS[1], 'createdAt', 'state', 'halt')
if not job[1] then return 'unknown' end
if job[2] == 'succeeded' or job[2] == 'failed' or job[2] == 'cancelled' then return 'ended' end
if not job[3] then redis.call('HSET', KEYS[1], 'publishing', 1) end
return job[3]`
