import type { Plan } from './job.ts'

type Times = Plan['times']

/** Run-length codes ascending frame times (ticks): a video of constant rate is one run, whatever its length. */
export function packTimes(ticks: number[]): Times {
  const runs: [number, number][] = []
  for (let i = 1; i < ticks.length; i++) {
    const step = (ticks[i] as number) - (ticks[i - 1] as number)
    const last = runs.at(-1)
    if (last?.[0] === step) last[1]++
    else runs.push([step, 1])
  }
  return { first: ticks[0] ?? 0, runs }
}

/** The times, in ticks, of frames `first` to `first + count - 1`. */
export function timesOf(times: Times, first: number, count: number): number[] {
  const wanted: number[] = []
  let frame = 0
  let tick = times.first
  if (first === 0 && count > 0) wanted.push(tick)
  for (const [step, length] of times.runs) {
    // Runs that end before the range are stepped over whole.
    if (frame + length < first) {
      frame += length
      tick += step * length
      continue
    }
    for (let i = 0; i < length && wanted.length < count; i++) {
      frame++
      tick += step
      if (frame >= first) wanted.push(tick)
    }
    if (wanted.length === count) break
  }
  return wanted
}

/** Ticks to microseconds, rounded once from the exact product so that errors never add up. */
export function toMicroseconds(ticks: number, [num, den]: Plan['video']['timeBase']): number {
  const scaled = BigInt(ticks) * BigInt(num) * 2_000_000n
  const half = BigInt(den)
  const doubled = scaled / half
  // Round half away from zero, for either sign.
  return Number(doubled >= 0n ? (doubled + 1n) / 2n : (doubled - 1n) / 2n)
}

/** The first frame of each batch. */
export function batchStarts(batches: number[]): number[] {
  let next = 0
  return batches.map((count) => (next += count) - count)
}
