/** A small generator of numbers that look random and are the same in every run (mulberry32). */
export function seeded(seed: number) {
  let state = seed
  const next = () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  /** A whole number from `from` to `to`, both included. */
  const int = (from: number, to: number) => from + Math.floor(next() * (to - from + 1))
  const pick = <T>(items: readonly [T, ...T[]]) => items[int(0, items.length - 1)] ?? items[0]
  return { next, int, pick }
}

/** Seeds 1 to `count`: a row for each in a table of tests. */
export const seeds = (count: number) => Array.from({ length: count }, (_, i) => i + 1)
