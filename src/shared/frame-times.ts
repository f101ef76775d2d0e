import type { Plan } from './job.ts'

type Times = Plan['times']

/**
 * Run-length codes ascending frame times (ticks): a video of constant rate is one run, whatever its length. Runs are
 * flat (step, how many, step, how many ...): a ten-hour film with a jittering clock has millions of them.
 */
export function packTimes(ticks: ArrayLike<number>): Times {
  const runs: number[] = []
  let [step, length] = [0, 0]
  for (let i = 1; i < ticks.length; i++) {
    const next = (ticks[i] as number) - (ticks[i - 1] as number)
    if (length > 0 && next !== step) {
      runs.push(step, length)
      length = 0
    }
    step = next
    length++
  }
  if (length > 0) runs.push(step, length)
  return { first: ticks[0] ?? 0, runs }
}

/** The times, in ticks, of frames `first` to `first + count - 1`. */
export function timesOf(times: Times, first: number, count: number): number[] {
  const wanted: number[] = []
  for (const [frame, tick, step, length] of walk(times, first)) {
    // The run reaches from this frame, shown at this tick, to the one that begins the next run.
    for (let i = Math.max(0, first - frame); i < length && frame + i < first + count; i++)
      wanted.push(tick + i * step)
    if (wanted.length === count) break
  }
  return wanted
}

/** The times, in ticks, of some frames, given in ascending order: one walk for all of them. */
export function timesAt(times: Times, frames: number[]): number[] {
  const found: number[] = []
  for (const [frame, tick, step, length] of walk(times)) {
    while (found.length < frames.length && (frames[found.length] as number) < frame + length) {
      found.push(tick + ((frames[found.length] as number) - frame) * step)
    }
    if (found.length === frames.length) break
  }
  return found
}

/**
 * Runs as [number of their first frame, its tick, step, frames], from the one that holds frame `from`; the last frame of
 * all is a run of its own.
 */
function* walk(
  { first, runs }: Times,
  from = 0,
): Generator<[frame: number, tick: number, step: number, length: number]> {
  let frame = 0
  let tick = first
  let i = 0
  // Adding up a million runs takes a moment; yielding each would take ten times as long, for every batch of a film.
  for (; i < runs.length && frame + (runs[i + 1] as number) <= from; i += 2) {
    tick += (runs[i] as number) * (runs[i + 1] as number)
    frame += runs[i + 1] as number
  }
  for (; i < runs.length; i += 2) {
    const [step, length] = [runs[i] as number, runs[i + 1] as number]
    yield [frame, tick, step, length]
    frame += length
    tick += step * length
  }
  yield [frame, tick, 0, 1]
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
