import type { Redis } from 'ioredis'
import { z } from 'zod'
import type { FleetSettings } from '../shared/fleet.ts'

/**
 * What one turn leaves to the next, whoever takes it. All of it may be lost. Times in ms of the clock.
 *
 *   <prefix>:fleet:memory   JSON
 */
export const Memory = z.object({
  lookedAt: z.number(),
  /** How many instances the fleet was to have, as it said or as was asked of it. */
  capacity: z.number(),
  /** As many as it may have now for all that was asked of it. */
  asked: z.number(),
  /** How many of them may go without anybody's doing: taken away, failed, never come, or removed by us. */
  loose: z.number(),
  byHand: z.object({ size: z.number(), until: z.number(), over: z.string() }).nullable(),
  silent: z.record(z.string(), z.number()),
  startSeconds: z.number().positive().nullable(),
  growthBlockedUntil: z.number(),
  /** Nobody is held before: all was lost, and what is in line is still being put back. */
  holdAfter: z.number(),
  /** Instances that failed, and when. */
  failures: z.record(z.string(), z.number()),
  error: z.string().nullable(),
})
export type Memory = z.infer<typeof Memory>

export const nothingKnown = {
  byHand: null,
  silent: {},
  startSeconds: null,
  growthBlockedUntil: 0,
  holdAfter: 0,
  failures: {},
  error: null,
} satisfies Partial<Memory>

export function createMemory(redis: Redis, prefix: string) {
  const key = `${prefix}:fleet:memory`
  return {
    /** Undefined where there is none that could be used. */
    async read(): Promise<Memory | undefined> {
      const text = await redis.get(key).catch((error: Error) => {
        // Somebody wrote something else there; it is written over.
        if (error.message.startsWith('WRONGTYPE')) return null
        throw error
      })
      try {
        return Memory.safeParse(JSON.parse(text ?? 'null')).data
      } catch {
        return undefined
      }
    },
    async write(memory: Memory): Promise<void> {
      await redis.set(key, JSON.stringify(memory))
    },
  }
}

/**
 * What is remembered, though the clock may have gone back since, or another machine's may be ahead: nothing is later than it
 * could have been set now, or it would hold for as long as the clock is off. Pure.
 */
export function withinReach(
  memory: Memory,
  { now, settleMs, keepMs }: { now: number; settleMs: number; keepMs: number },
): Memory {
  const { byHand } = memory
  const past = (times: Record<string, number>) =>
    Object.fromEntries(Object.entries(times).map(([name, at]) => [name, Math.min(at, now)]))
  return {
    ...memory,
    lookedAt: Math.min(memory.lookedAt, now),
    byHand: byHand && { ...byHand, until: Math.min(byHand.until, now + keepMs) },
    silent: past(memory.silent),
    growthBlockedUntil: Math.min(memory.growthBlockedUntil, now + hourMs),
    holdAfter: Math.min(memory.holdAfter, now + settleMs),
    failures: past(memory.failures),
  }
}

/** What is remembered of the fleet's size before anything is asked of it. A guess is not to be held against anybody. Pure. */
export function sizeSeen(
  memory: Memory | undefined,
  { capacity, guessed = false }: { capacity: number; guessed?: boolean },
): Pick<Memory, 'capacity' | 'asked'> {
  if (!guessed || !memory) return { capacity, asked: capacity }
  return { capacity: memory.capacity, asked: Math.max(memory.asked, capacity) }
}

/**
 * A size that somebody set at the fleet itself: its capacity is neither what we asked for nor explained by what goes without
 * anybody's doing. Kept for a while, until somebody sets the fleet by the API, or another size. Pure.
 *
 * A spot machine may vanish unannounced, and then there are fewer, just as if somebody had asked for fewer: nothing tells
 * them apart. Evictions are daily and people rare, so only a raised size counts there; who wants fewer says so by the API.
 */
export function sizeByHand(
  memory: Memory | undefined,
  seen: {
    now: number
    capacity: number
    guessed?: boolean
    spot?: boolean
    settings: FleetSettings
    keepMs: number
  },
): Memory['byHand'] {
  const { now, capacity, guessed = false, spot = false, settings, keepMs } = seen
  if (!memory || settings.size !== null) return null
  const over = JSON.stringify(settings)
  const isExplained = spot || capacity >= memory.capacity - memory.loose
  if (guessed || (isExplained && capacity <= memory.asked)) {
    const kept = memory.byHand
    return kept && kept.until > now && kept.over === over ? kept : null
  }
  // Beyond what people allow it is an error, and mended.
  if (capacity < settings.min || capacity > settings.max) return null
  return { size: capacity, until: now + keepMs, over }
}

const hourMs = 3_600_000
const oneIncidentMs = 60_000
const firstPauseMs = 30_000
const longestPauseMs = 1_800_000

/** Failures of the last hour, with these. Pure. */
export function withFailures(failures: Memory['failures'], names: string[], now: number): Memory['failures'] {
  const known = Object.entries(failures).filter(([, at]) => now - at < hourMs)
  const fresh = names.map((name) => [name, failures[name] ?? now] as const)
  return Object.fromEntries([...known, ...fresh].slice(-1_000))
}

/**
 * Until when nothing is started in place of what failed: machines that all fail must not be bought for ever. Those that
 * fail within a minute have one cause, such as an outage, and count as one, however many they are. Pure.
 */
export function pausedByFailures(failures: Memory['failures'], healthy: number): number {
  const times = Object.values(failures).toSorted((a, b) => a - b)
  let incidents = 0
  let began = -Infinity
  for (const at of times) {
    if (at - began < oneIncidentMs) continue
    began = at
    incidents++
  }
  const beyond = Math.min(incidents, times.length - Math.ceil(healthy / 10))
  if (beyond < 3) return 0
  return Math.max(...times) + Math.min(longestPauseMs, firstPauseMs * 2 ** (beyond - 3))
}

/** The moving average of how long an instance takes to start, with these. Pure. */
export function withStarts(known: number | null, starts: number[]): number | null {
  return starts.reduce<number | null>((mean, seconds) => {
    const sane = Math.min(3_600, Math.max(0.1, seconds))
    return mean === null ? sane : mean + 0.3 * (sane - mean)
  }, known)
}
