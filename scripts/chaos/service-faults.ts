import { type Fault, atOnce } from './fault.ts'
import type { FaultMode } from './fault-proxy.ts'
import { signal } from './processes.ts'

/** What goes through a proxy is broken for a while. */
const through = (place: 'redis' | 'storage', lasts: Fault['lasts'], mode: FaultMode): Fault => ({
  ...{ place, lasts },
  async strike({ proxies }) {
    await proxies[place].set(mode)
    return { what: JSON.stringify(mode), lift: async () => await proxies[place].set({ kind: 'pass' }) }
  },
})

const stopped = (place: 'redis' | 'storage', lasts: Fault['lasts']): Fault => ({
  ...{ place, lasts },
  async strike({ backing }) {
    const victim = await backing[place]()
    if (!victim) return undefined
    await signal(victim, 'SIGSTOP')
    return { what: `${place} (${victim.pid})`, lift: async () => await signal(victim, 'SIGCONT') }
  },
})

/** Faults of what the roles stand on. */
export const serviceFaults = {
  'kill-redis': {
    place: 'redis',
    lasts: atOnce,
    async strike({ backing, evidence }) {
      const victim = await backing.redis()
      if (!victim) return undefined
      // What it was told within its last second it may not know any more.
      await evidence.collect()
      await signal(victim, 'SIGKILL')
      return { what: `redis (${victim.pid})`, lift: async () => await backing.isBack('redis', victim) }
    },
  },
  'stop-redis': stopped('redis', [2_000, 6_000]),
  'wipe-redis': {
    place: 'redis',
    lasts: atOnce,
    async strike({ redis, evidence }) {
      await evidence.collect()
      await redis.flushall()
      evidence.wiped()
      return { what: 'every key' }
    },
  },
  'full-redis': {
    place: 'redis',
    lasts: [2_000, 6_000],
    async strike({ redis }) {
      await redis.config('SET', 'maxmemory', '1')
      const lift = async () => void (await redis.config('SET', 'maxmemory', '0'))
      return { what: 'maxmemory 1, noeviction', lift }
    },
  },
  'cut-redis': through('redis', [2_000, 6_000], { kind: 'refuse' }),
  'hang-redis': through('redis', [2_000, 12_000], { kind: 'hang' }),
  'slow-redis': through('redis', [3_000, 6_000], { kind: 'latency', ms: 150 }),
  'kill-storage': {
    place: 'storage',
    lasts: atOnce,
    async strike({ backing }) {
      const victim = await backing.storage()
      if (!victim) return undefined
      await signal(victim, 'SIGKILL')
      return { what: `azurite (${victim.pid})`, lift: async () => await backing.isBack('storage', victim) }
    },
  },
  'stop-storage': stopped('storage', [2_000, 8_000]),
  'busy-storage': through('storage', [3_000, 6_000], {
    ...{ kind: 'status', status: 503, share: 0.7, retryAfterSeconds: 1 },
  }),
  'throttling-storage': through('storage', [3_000, 6_000], {
    ...{ kind: 'status', status: 429, share: 0.7, retryAfterSeconds: 2 },
  }),
  'storage-resets': through('storage', [3_000, 6_000], { kind: 'reset', afterBytes: 2_000, share: 0.6 }),
  'storage-stalls': through('storage', [3_000, 6_000], { kind: 'stall', afterBytes: 2_000, share: 0.6 }),
  'slow-storage': through('storage', [3_000, 6_000], { kind: 'latency', ms: 400 }),
  'hung-storage': through('storage', [3_000, 10_000], { kind: 'hang' }),
} satisfies Record<string, Fault>
