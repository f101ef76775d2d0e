import type { Redis } from 'ioredis'
import { z } from 'zod'
import { ratesKey } from './worker-registry.ts'

/**
 * How fast workers are, as they measured it: what the autoscaler, the split and speculation reckon with.
 *
 *   <prefix>:rates   hash: `model|WIDTHxHEIGHT|device` → a Rate as JSON; the 500 that were measured last
 */
export type RateKey = {
  /** `name@version` */
  model: string
  /** `WIDTHxHEIGHT` of the video, upright. */
  size: string
  device: string
}
export type Rate = RateKey & {
  /** Of one busy worker, without what a batch costs beside its frames. */
  secondsPerFrame: number
  /** Of one batch: until its first frame is at the model. */
  setUpSeconds: number
  /** How many were measured. */
  batches: number
  /** When the last of them was, in ms. */
  at: number
}

const Rate = z.object({
  ...{ model: z.string().min(1), size: z.string().regex(/^\d+x\d+$/), device: z.string().min(1) },
  ...{ secondsPerFrame: z.number().positive(), setUpSeconds: z.number().nonnegative() },
  ...{ batches: z.number().int().positive(), at: z.number() },
})

const mostRates = 500
/** The first few count alike; after that a batch counts for a fifth, so that a change is seen within a few. */
const newest = 0.2
/** Of a batch, until one was measured that had the worker for itself: two programs start. */
const usualSetUpSeconds = 0.5
/** Of a million pixels, until a model was measured: between a GPU and a processor, so that neither is far off. */
const usualSecondsPerMegapixel = 0.1

// KEYS: the rates. ARGV: the field, the key's parts as JSON, seconds a frame, set-up seconds or '', now.
const noteScript = `
local function read(text)
  local ok, value = pcall(cjson.decode, text or '')
  return ok and type(value) == 'table' and type(value.batches) == 'number' and type(value.secondsPerFrame) == 'number' and value or nil
end
local old = read(redis.call('HGET', KEYS[1], ARGV[1]))
local rate = cjson.decode(ARGV[2])
local function mean(before, count, now)
  return before + (now - before) * math.max(${newest}, 1 / (count + 1))
end
local batches = old and old.batches or 0
local setUps = old and tonumber(old.setUps) or 0
rate.secondsPerFrame = mean(old and old.secondsPerFrame or 0, batches, tonumber(ARGV[3]))
rate.batches = batches + 1
rate.setUpSeconds = old and tonumber(old.setUpSeconds) or ${usualSetUpSeconds}
if ARGV[4] ~= '' then
  rate.setUpSeconds = mean(rate.setUpSeconds, setUps, tonumber(ARGV[4]))
  setUps = setUps + 1
end
rate.setUps = setUps
rate.at = tonumber(ARGV[5])
redis.call('HSET', KEYS[1], ARGV[1], cjson.encode(rate))
local over = redis.call('HLEN', KEYS[1]) - ${mostRates}
if over <= 0 then return end
local all, ages = redis.call('HGETALL', KEYS[1]), {}
for i = 1, #all, 2 do
  local found = read(all[i + 1])
  ages[#ages + 1] = { all[i], found and tonumber(found.at) or 0 }
end
table.sort(ages, function(a, b) return a[2] < b[2] end)
for i = 1, over do redis.call('HDEL', KEYS[1], ages[i][1]) end`

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
      await redis.eval(noteScript, 1, key, field, parts, seconds / frames, setUpSeconds ?? '', Date.now())
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
 * How fast a batch of a model should be: as measured; else on another device; else at another size, by its pixels; else
 * as models usually are, which is `measured: false`. Pure.
 */
export function expectedRate(
  rates: Rate[],
  { model, size, device }: { model: string; size?: string; device?: string },
): { secondsPerFrame: number; setUpSeconds: number; measured: boolean } {
  const known = rates.filter((rate) => rate.model === model).toSorted((a, b) => b.batches - a.batches)
  const here = (rate: Rate) => device !== undefined && rate.device === device
  const sized = known.filter((rate) => rate.size === size)
  const same = sized.find(here) ?? sized[0]
  if (same) return { ...costs(same), measured: true }
  const near = known.find(here) ?? known[0]
  if (near) {
    const scale = size === undefined ? 1 : pixelsOf(size) / pixelsOf(near.size)
    return { ...costs(near), secondsPerFrame: near.secondsPerFrame * scale, measured: true }
  }
  const megapixels = pixelsOf(size ?? '1280x720') / 1e6
  const secondsPerFrame = megapixels * usualSecondsPerMegapixel
  return { secondsPerFrame, setUpSeconds: usualSetUpSeconds, measured: false }
}

const costs = ({ secondsPerFrame, setUpSeconds }: Rate) => ({ secondsPerFrame, setUpSeconds })

function pixelsOf(size: string): number {
  const [width = 0, height = 0] = size.split('x').map(Number)
  return Math.max(1, width * height || 1)
}
