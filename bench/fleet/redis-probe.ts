// Asks Redis over and over whether it is there, as any other client would, and says how long it was kept waiting.
// In a process of its own: what keeps the one that measures busy must not be taken for Redis.
import { setTimeout as pause } from 'node:timers/promises'
import { Redis } from 'ioredis'

const everyMs = 1

/** Since it was last asked, in ms: the longest wait for an answer, and the longest that the machine let this process wait. */
export type ProbeAnswer = { worstMs: number; machineMs: number }

let worst: ProbeAnswer = { worstMs: 0, machineMs: 0 }
process.on('message', () => {
  process.send?.(worst)
  worst = { worstMs: 0, machineMs: 0 }
})
process.on('disconnect', () => process.exit(0))

const redis = new Redis(process.env['PROBED_REDIS'] ?? '')
for (;;) {
  const asked = performance.now()
  await redis.ping()
  const answered = performance.now()
  await pause(everyMs)
  worst = {
    worstMs: Math.max(worst.worstMs, answered - asked),
    machineMs: Math.max(worst.machineMs, performance.now() - answered - everyMs),
  }
}
