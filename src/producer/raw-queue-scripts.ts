/**
 * Lua that looks at a queue's keys as they lie in Redis, whatever somebody put there: nothing in it takes a type for
 * granted. ARGV[1] is the queue's key prefix with its last colon.
 *
 * An entry is described as { id, type, wrong part, mark, fields … }. The mark is a digest of what was seen: an entry is
 * removed only while it is still what was looked at.
 */
const common = `
local base = ARGV[1]
local function kind(key) return redis.call('TYPE', key).ok end

-- What is wrong with a key: its type, or what it says.
local function keyFault(name, wanted)
  local key = base .. name
  local found = kind(key)
  local real = (wanted == 'counter' or wanted == 'lease') and 'string' or wanted
  if found == 'none' then return nil end
  if found ~= real then return 'is a ' .. found .. ' and not a ' .. real end
  if wanted == 'counter' and not string.match(redis.call('GETRANGE', key, 0, 20), '^%d+$') then
    return 'is not a number'
  end
  -- Whoever waits for it to end would wait for ever.
  if wanted == 'lease' and redis.call('PTTL', key) == -1 then return 'never ends' end
  return nil
end
`

const entries = `
local most = tonumber(ARGV[2])
local firstField = tonumber(ARGV[3])
local copied = 0
local parts = {
  'lock', 'string', 'logs', 'list', 'dependencies', 'set', 'processed', 'hash', 'failed', 'hash', 'unsuccessful', 'zset',
}
local headBytes = 4096
local largestCopy = 16777216

-- The fields in their order; of one that is too large its size and how it begins.
local function readFields(key)
  local names, values, large = {}, {}, {}
  for i = firstField, #ARGV do
    local bytes = redis.call('HSTRLEN', key, ARGV[i])
    copied = copied + math.min(bytes, largestCopy)
    if bytes > most then large[ARGV[i]] = bytes end
    -- Nothing is called by the empty name.
    names[#names + 1] = bytes > most and '' or ARGV[i]
  end
  values = redis.call('HMGET', key, unpack(names))
  for name, bytes in pairs(large) do
    local head = bytes <= largestCopy and string.sub(redis.call('HGET', key, name), 1, headBytes) or ''
    for i = 1, #names do
      if ARGV[firstField + i - 1] == name then values[i] = { bytes, head } end
    end
  end
  return values
end

local function wrongPart(key)
  local names = {}
  for i = 1, #parts, 2 do names[#names + 1] = key .. ':' .. parts[i] end
  if redis.call('EXISTS', unpack(names)) == 0 then return '' end
  for i = 1, #parts, 2 do
    local found = kind(key .. ':' .. parts[i])
    if found ~= 'none' and found ~= parts[i + 1] then
      return parts[i] .. ' of the type ' .. found .. ' and not ' .. parts[i + 1]
    end
  end
  if redis.call('PTTL', key .. ':lock') == -1 then return 'a lock that never ends' end
  return ''
end

local function describe(id)
  local key = base .. id
  local found = kind(key)
  local seen = { id, found, '', '' }
  local marks = { found }
  if found == 'hash' then
    seen[3] = wrongPart(key)
    marks[2] = seen[3]
    for _, value in ipairs(readFields(key)) do
      seen[#seen + 1] = value
      marks[#marks + 1] = type(value) == 'table' and tostring(value[1]) or tostring(value)
    end
  end
  seen[4] = redis.sha1hex(table.concat(marks, '\\0'))
  return seen
end

local lists = { 'wait', 'active', 'paused' }
local sets = { 'delayed', 'prioritized', 'waiting-children', 'completed', 'failed' }

-- Whether an entry is in none of the places that entries can be in. A key of the wrong type can't tell. Lists come last:
-- they are gone through from end to end.
local function isOrphan(id)
  for _, name in ipairs(sets) do
    local found = kind(base .. name)
    if found == 'zset' and redis.call('ZSCORE', base .. name, id) then return false end
    if found ~= 'zset' and found ~= 'none' then return false end
  end
  for _, name in ipairs(lists) do
    local found = kind(base .. name)
    if found == 'list' and redis.call('LPOS', base .. name, id) then return false end
    if found ~= 'list' and found ~= 'none' then return false end
  end
  return true
end
`

/** ARGV: base, then names and wanted types in pairs. Answers { name, fault, size, beginning } of each wrong key. */
export const wrongKeysScript = `${common}
local sizes = { string = 'STRLEN', list = 'LLEN', set = 'SCARD', zset = 'ZCARD', hash = 'HLEN', stream = 'XLEN' }
local function sampleOf(key, found)
  if found == 'string' then return redis.call('GETRANGE', key, 0, 4095) end
  if found == 'list' then return redis.call('LINDEX', key, 0) end
  if found == 'set' then return redis.call('SRANDMEMBER', key) end
  if found == 'zset' then return redis.call('ZRANGE', key, 0, 0)[1] end
  if found == 'hash' then return redis.call('HRANDFIELD', key) end
  return ''
end
local wrong = {}
for i = 2, #ARGV, 2 do
  local fault = keyFault(ARGV[i], ARGV[i + 1])
  if fault then
    local key = base .. ARGV[i]
    local found = kind(key)
    local size = sizes[found] and redis.call(sizes[found], key) or 0
    wrong[#wrong + 1] = { ARGV[i], fault, size, string.sub(sampleOf(key, found) or '', 1, 4096) }
  end
end
return wrong`

/** ARGV: base, name, wanted type. Removes the key if it is still wrong. */
export const dropKeyScript = `${common}
if not keyFault(ARGV[2], ARGV[3]) then return 0 end
return redis.call('UNLINK', base .. ARGV[2])`

/**
 * ARGV: base, most bytes of a field, index of the first field name, place, from, to, most bytes to copy, fields.
 * Answers how many entries were looked at and, of each, its description with its score last.
 */
export const peekScript = `${common}${entries}
local place, budget = base .. ARGV[4], tonumber(ARGV[7])
local found = kind(place)
local ids = {}
local step = 1
if found == 'list' then ids = redis.call('LRANGE', place, ARGV[5], ARGV[6])
elseif found == 'zset' then
  ids = redis.call('ZRANGE', place, ARGV[5], ARGV[6], 'WITHSCORES')
  step = 2
end
local seen = {}
for i = 1, #ids, step do
  copied = copied + #ids[i]
  seen[#seen + 1] = { step == 2 and ids[i + 1] or '', describe(ids[i]) }
  if copied > budget then break end
end
return seen`

/** ARGV: base, most bytes of a field, index of the first field name, most bytes to copy, ids, fields. Describes the orphans. */
export const orphansScript = `${common}${entries}
local seen = {}
for i = 5, firstField - 1 do
  if kind(base .. ARGV[i]) == 'hash' and isOrphan(ARGV[i]) then seen[#seen + 1] = { '', describe(ARGV[i]) } end
  if copied > tonumber(ARGV[4]) then break end
end
return seen`

/**
 * ARGV: base, most bytes of a field, index of the first field name, place, id, mark, whether it is one of a flow's, fields.
 *
 * Takes an entry out of its place and out of Redis, if it is still what was looked at. A child that will be put back
 * stays among those its parent waits for, and what its parent heard of its failure is forgotten; of any other the parent
 * is told that it needn't wait.
 */
export const removeScript = `${common}${entries}
local place, id, mark, comesBack = ARGV[4], ARGV[5], ARGV[6], ARGV[7] == '1'
local key = base .. id
local seen = describe(id)
if seen[4] ~= mark then return 0 end

if place ~= '' then
  local found = kind(base .. place)
  if found == 'list' then redis.call('LREM', base .. place, 0, id) end
  if found == 'zset' then redis.call('ZREM', base .. place, id) end
end
if kind(base .. 'stalled') == 'set' then redis.call('SREM', base .. 'stalled', id) end

-- An id may be the name of a key that is the queue's own, or part of a good entry: those stay.
local own = {
  [''] = 1, wait = 1, active = 1, paused = 1, delayed = 1, prioritized = 1, completed = 1, failed = 1, stalled = 1,
  ['waiting-children'] = 1, ['stalled-check'] = 1, meta = 1, events = 1, marker = 1, id = 1, pc = 1, limiter = 1,
  ['repeat'] = 1, de = 1,
}
if own[id] then return 1 end
local suffix = string.match(id, ':([^:]*)$')
for i = 1, #parts, 2 do
  if suffix == parts[i] then return 1 end
end

local parent = seen[2] == 'hash' and redis.call('HSTRLEN', key, 'parentKey') < 1024 and redis.call('HGET', key, 'parentKey')
if parent and comesBack then
  if kind(parent .. ':failed') == 'hash' then redis.call('HDEL', parent .. ':failed', key) end
elseif parent and kind(parent .. ':dependencies') == 'set' and redis.call('SREM', parent .. ':dependencies', key) == 1 then
  local queue, parentId = string.match(parent, '^(.*:)([^:]+)$')
  if redis.call('SCARD', parent .. ':dependencies') == 0 and kind(queue .. 'waiting-children') == 'zset'
    and redis.call('ZREM', queue .. 'waiting-children', parentId) == 1 then
    redis.call('LPUSH', queue .. 'wait', parentId)
    redis.call('ZADD', queue .. 'marker', 0, '0')
  end
end
local keys = { key }
for i = 1, #parts, 2 do keys[#keys + 1] = key .. ':' .. parts[i] end
redis.call('UNLINK', unpack(keys))
return 1`

/**
 * ARGV: base, 0, 0, id, now in ms. Puts a good entry that is in no place back where its state says: its list was lost.
 */
export const relistScript = `${common}${entries}
local id, now = ARGV[4], ARGV[5]
local key = base .. id
if kind(key) ~= 'hash' or not isOrphan(id) then return 0 end
local finished, result, priority = unpack(redis.call('HMGET', key, 'finishedOn', 'returnvalue', 'priority'))
priority = tonumber(priority) or 0
if finished then redis.call('ZADD', base .. (result and 'completed' or 'failed'), finished, id)
elseif redis.call('EXISTS', key .. ':lock') == 1 then redis.call('LPUSH', base .. 'active', id)
elseif redis.call('SCARD', key .. ':dependencies') > 0 then redis.call('ZADD', base .. 'waiting-children', now, id)
elseif priority > 0 then
  local count = redis.call('INCR', base .. 'pc')
  redis.call('ZADD', base .. 'prioritized', priority * 0x100000000 + count % 0x100000000, id)
else redis.call('LPUSH', base .. 'wait', id)
end
redis.call('ZADD', base .. 'marker', 0, '0')
return 1`
