import { setTimeout as pause } from 'node:timers/promises'
import { seeded } from './seeded.ts'
import type { Struck } from './fault.ts'
import { type FaultKind, faults } from './faults.ts'
import type { Planned } from './schedule.ts'
import type { World } from './world.ts'

/** A fault that struck. Times in ms of the clock. */
export type Strike = { kind: FaultKind; what: string; at: number; liftedAt: number }

/** There may be nothing to strike at the moment, such as an ffmpeg between two batches. */
const seekForMs = 15_000
/** A service that was killed must serve again by then. */
const liftWithinMs = 60_000
/** After a fault that had to wait for its place the next ones still come one by one. */
const leastGapMs = 1_500

/** Lets a drawn storm loose on the system; resolves when all of it is over. Throws when a fault can't be lifted. */
export async function strikeAll(
  world: World,
  storm: Planned<FaultKind>[],
  { say, signal }: { say(line: string): void; signal: AbortSignal },
): Promise<Strike[]> {
  const began = Date.now()
  const strikes: Strike[] = []
  const lifts = new Map<string, Promise<void>>()
  let last = 0
  try {
    for (const { kind, atMs, lastsMs, seed } of storm) {
      const wait = Math.max(began + atMs, last + leastGapMs) - Date.now()
      await pause(Math.max(0, wait), undefined, { signal })
      const { place } = faults[kind]
      await lifts.get(place)
      const struck = await seek(world, kind, seed, signal)
      last = Date.now()
      const stay = lastsMs > 0 ? ` for ${(lastsMs / 1_000).toFixed(1)} s` : ''
      say(
        `+${((last - began) / 1_000).toFixed(1)} s  ${kind}  ${struck ? struck.what + stay : 'nothing to strike'}`,
      )
      if (!struck) continue
      const strike = { kind, what: struck.what, at: last, liftedAt: last }
      strikes.push(strike)
      const before = lifts.get(place)
      const lifted = Promise.all([before, lift(struck, lastsMs, signal)]).then(() => {
        strike.liftedAt = Date.now()
      })
      // Heard by the next one in this place, or at the end.
      lifted.catch(() => {})
      lifts.set(place, lifted)
    }
  } finally {
    await Promise.allSettled(lifts.values())
  }
  await Promise.all(lifts.values())
  return strikes
}

async function seek(world: World, kind: FaultKind, seed: number, signal: AbortSignal) {
  for (const until = Date.now() + seekForMs; ;) {
    // The fault before may still be felt by us as well, such as a Redis that loads its file.
    const struck = await faults[kind].strike(world, seeded(seed)).catch((error: unknown) => {
      if (Date.now() > until) throw error
      return undefined
    })
    if (struck || Date.now() > until) return struck
    await pause(50, undefined, { signal })
  }
}

/** Lifts a fault after its time, or at once when everything is to stop. */
async function lift({ what, lift: mend }: Struck, lastsMs: number, signal: AbortSignal): Promise<void> {
  if (!mend) return
  await pause(lastsMs, undefined, { signal }).catch(() => {})
  const done = new AbortController()
  const late = pause(liftWithinMs, undefined, { signal: done.signal }).then(
    () => {
      throw new Error(`${what} was not mended within ${liftWithinMs / 1_000} s`)
    },
    () => {},
  )
  try {
    await Promise.race([mend(), late])
  } finally {
    done.abort()
  }
}
