import type { Redis } from 'ioredis'
import { z } from 'zod'
import { ratesKey } from './worker-registry.ts'

/**
 * How fast workers are, as they measured it: what the autoscaler, the split and speculation reckon with.
 *
 *   <prefix>:rates   hash: `model|WIDTHxHEIGHT|device` → a Rate as JSON; up to 500, of which the stalest make room for others
 */
const Rate = z.object({
  /** `name@version`; of models by partition their pattern. */
  model: z.string().min(1),
  /** `WIDTHxHEIGHT` of the video, upright; of images about as many pixels (see `roughSize`); of a table `FEATURESx1`. */
  size: z.string().regex(/^\d+x\d+$/),
  device: z.string().min(1),
  /** Of one busy worker, without what a batch costs beside its frames. */
  secondsPerFrame: z.number().positive(),
  /** Of one batch: until its first frame is at the model. */
  setUpSeconds: z.number().nonnegative(),
  /** How many were measured. */
  batches: z.number().int().positive(),
  /** When the last of them was, in ms of Redis' clock. */
  at: z.number(),
})
export type Rate = z.infer<typeof Rate>
export type RateKey = Pick<Rate, 'model' | 'size' | 'device'>

const mostRates = 500
/** Those of rows beyond so many go first: a few jobs of a hundred models would leave nothing of what is known of videos. */
const mostOfRows = 250
/** So many go at once, so that not every new one costs a look at all of them. */
const goneAtOnce = 50
/** The first few count alike; after that a fifth of what is known goes with each batch, so that a change is seen within a few. */
const newest = 0.2
/** Of a batch, until one was measured that had the worker for itself: two programs start. */
export const usualSetUpSeconds = 0.5
/** Of a row of a table, until its model was measured. */
const usualSecondsPerRow = 2e-5
/** Of a million pixels, until a model was measured: between a GPU and a processor, so that neither is far off. */
const usualSecondsPerMegapixel = 0.1
const usualSize = '1280x720'
export const isRowSize = (size: string): boolean => /^\d+x1$/.test(size)

/** As many rows take as long as a frame, as both usually are. */
export const rowsPerFrame = Math.round(
  ((pixelsOf(usualSize) / 1e6) * usualSecondsPerMegapixel) / usualSecondsPerRow,
)

// Two batches share a worker's time as they may: only all the seconds by all the frames are its pace, so that both are kept
// as sums. KEYS: the rates. ARGV: the field, the key's parts as JSON, frames, their seconds, set-up seconds or ''.
const noteScript = `
local function read(text)
  local ok, value = pcall(cjson.decode, text or '')
  if not ok or type(value) ~= 'table' then return nil end
  for _, name in ipairs({ 'batches', 'frames', 'seconds' }) do
    if type(value[name]) ~= 'number' then return nil end
  end
  return value
end
local old = read(redis.call('HGET', KEYS[1], ARGV[1]))
local rate = cjson.decode(ARGV[2])
local function share(count)
  return math.max(${newest}, 1 / (count + 1))
end
local batches = old and old.batches or 0
local setUps = old and tonumber(old.setUps) or 0
local kept = batches < 1 / ${newest} and 1 or 1 - ${newest}
rate.frames = (old and old.frames or 0) * kept + tonumber(ARGV[3])
rate.seconds = (old and old.seconds or 0) * kept + tonumber(ARGV[4])
rate.secondsPerFrame = rate.seconds / rate.frames
rate.batches = batches + 1
rate.setUpSeconds = old and tonumber(old.setUpSeconds) or ${usualSetUpSeconds}
if ARGV[5] ~= '' then
  rate.setUpSeconds = rate.setUpSeconds + (tonumber(ARGV[5]) - rate.setUpSeconds) * share(setUps)
  setUps = setUps + 1
end
rate.setUps = setUps
local time = redis.call('TIME')
rate.at = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSET', KEYS[1], ARGV[1], cjson.encode(rate))
if redis.call('HLEN', KEYS[1]) <= ${mostRates} then return end
local all, ages, rows = redis.call('HGETALL', KEYS[1]), {}, 0
for i = 1, #all, 2 do
  local found = read(all[i + 1])
  local ofRows = found ~= nil and type(found.size) == 'string' and found.size:find('^%d+x1$') ~= nil
  if ofRows then rows = rows + 1 end
  ages[#ages + 1] = { name = all[i], ofRows = ofRows, at = found and tonumber(found.at) or 0 }
end
local function byAge(a, b) return a.at < b.at end
table.sort(ages, byAge)
local over = #ages - ${mostRates - goneAtOnce}
local spare = math.min(over, rows - ${mostOfRows})
for i = 1, #ages do
  if ages[i].ofRows and spare > 0 then
    ages[i].at = -1
    spare = spare - 1
  end
end
table.sort(ages, byAge)
for i = 1, over do redis.call('HDEL', KEYS[1], ages[i].name) end`

/** Seconds of one batch's frames, and of its set-up where that could be told. */
export type Measured = { frames: number; seconds: number; setUpSeconds?: number }

export type Rates = ReturnType<typeof createRates>

export function createRates(redis: Redis, prefix: string) {
  const key = ratesKey(prefix)
  return {
    /** Takes a batch into the moving averages. */
    async note({ model, size, device }: RateKey, { frames, seconds, setUpSeconds }: Measured): Promise<void> {
      const field = `${model}|${size}|${device}`
      const parts = JSON.stringify({ model, size, device })
      await redis.eval(noteScript, 1, key, field, parts, frames, seconds, setUpSeconds ?? '')
    },
    /** What can't be read is left out: it goes when it is the stalest, or is measured anew. */
    async all(): Promise<Rate[]> {
      return (await redis.hvals(key)).flatMap((text) => parse(text) ?? [])
    },
  }
}

function parse(text: string): Rate | undefined {
  try {
    return Rate.safeParse(JSON.parse(text)).data
  } catch {
    return undefined
  }
}

/**
 * How fast a batch of a model should be on a device, or else on the one that worked last: as measured; or at another size,
 * by its pixels, or numbers; else as models usually are, which is `measured: false`. Devices are further apart than sizes. Pure.
 */
export function expectedRate(
  rates: Rate[],
  { model, size, device }: { model: string; size?: string; device?: string },
): { secondsPerFrame: number; setUpSeconds: number; measured: boolean } {
  const known = rates.filter((rate) => rate.model === model).toSorted((a, b) => b.at - a.at)
  const on = known.find((rate) => rate.device === device) ?? known[0]
  const there = known.filter((rate) => rate.device === on?.device).toSorted((a, b) => b.batches - a.batches)
  const same = there.find((rate) => rate.size === size)
  if (same) return { ...costs(same), measured: true }
  const [near] = there
  if (near) {
    const scale = size === undefined ? 1 : pixelsOf(size) / pixelsOf(near.size)
    return { ...costs(near), secondsPerFrame: near.secondsPerFrame * scale, measured: true }
  }
  const megapixels = pixelsOf(size ?? usualSize) / 1e6
  const isRow = size !== undefined && isRowSize(size)
  const secondsPerFrame = isRow ? usualSecondsPerRow : megapixels * usualSecondsPerMegapixel
  return { secondsPerFrame, setUpSeconds: usualSetUpSeconds, measured: false }
}

const costs = ({ secondsPerFrame, setUpSeconds }: Rate) => ({ secondsPerFrame, setUpSeconds })

/**
 * A size of about as many pixels, of which there are a few dozen: images come in any size, and a rate for each would drive out
 * what is known of all else. Pure.
 */
export function roughSize(size: string): string {
  const side = Math.round(2 ** (Math.round(Math.log2(pixelsOf(size))) / 2))
  return `${side}x${side}`
}

function pixelsOf(size: string): number {
  const [width = 0, height = 0] = size.split('x').map(Number)
  return Math.max(1, width * height || 1)
}
