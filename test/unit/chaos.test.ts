import { expect, test } from 'vitest'
import { type Outcome, byKind, isWhole, recoveries, redoneTroubles } from '../../scripts/chaos/outcome.ts'
import { drawStorm } from '../../scripts/chaos/schedule.ts'
import type { Strike } from '../../scripts/chaos/strikes.ts'
import { seeds } from '../../scripts/chaos/seeded.ts'

const kinds = { kill: [0, 0], stop: [2_000, 9_000], wipe: [0, 0], slow: [3_000, 6_000] } as const
const draw = (seed: number) => drawStorm({ seed, ms: 60_000, gapMs: [3_000, 5_000], kinds })

test.each(seeds(5))(
  'seed %i draws the same storm each time, and each kind before any comes twice',
  (seed) => {
    const storm = draw(seed)
    expect(draw(seed)).toEqual(storm)
    expect(draw(seed + 1)).not.toEqual(storm)
    for (let bag = 0; bag + 4 <= storm.length; bag += 4) {
      expect(new Set(storm.slice(bag, bag + 4).map(({ kind }) => kind)).size).toBe(4)
    }
    for (const { kind, atMs, lastsMs } of storm) {
      expect(atMs).toBeLessThan(60_000)
      expect(lastsMs).toBeGreaterThanOrEqual(kinds[kind][0])
      expect(lastsMs).toBeLessThanOrEqual(kinds[kind][1])
    }
    const gaps = storm.slice(1).map(({ atMs }, i) => atMs - (storm[i]?.atMs ?? 0))
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(3_000)
    expect(Math.max(...gaps)).toBeLessThanOrEqual(5_000)
  },
)

test('a recovery lasts from the strike until something is done that was begun after it', () => {
  const strike = (kind: Strike['kind'], at: number) => ({ kind, what: '', at, liftedAt: at })
  const strikes = [strike('kill-worker', 1_000), strike('stop-redis', 10_000), strike('kill-worker', 40_000)]
  const done = [
    { from: 500, to: 1_200 },
    { from: 1_100, to: 3_500 },
    // Under way as Redis stopped: that it ended says nothing.
    { from: 9_000, to: 11_000 },
    { from: 15_000, to: 16_000 },
  ]
  const seconds = recoveries(strikes, done, 60_000)
  // Nothing was done any more after the last one: it lasts until the end.
  expect(seconds).toEqual([2.5, 6, 20])
  expect(byKind(strikes, seconds)).toEqual({
    'kill-worker': { count: 2, worst_recovery_s: 20 },
    'stop-redis': { count: 1, worst_recovery_s: 6 },
  })
})

const well: Outcome = {
  ...{ seed: 7, minutes: 10, faults: 60, kinds: 12, jobs: 90, lost: 0, hung: 0, wrong_ends: 0 },
  ...{ differing_frames: 0, redone_pct: 3, orphans: 0, poison_injected: 5, poison_quarantined: 5 },
  ...{ worst_recovery_s: 12, by_kind: {} },
}

test.each<[string, Partial<Outcome>, boolean]>([
  ['all is well', {}, true],
  ['a job is lost', { lost: 1 }, false],
  ['a job hangs', { hung: 1 }, false],
  ['a job ended otherwise than it must', { wrong_ends: 1 }, false],
  ['a frame differs', { differing_frames: 1 }, false],
  ['something is left behind', { orphans: 1 }, false],
  ['poison is not in quarantine', { poison_quarantined: 4 }, false],
  ['much was scored more than once', { redone_pct: 90 }, true],
])('%s', (_, change, want) => expect(isWhole({ ...well, ...change })).toBe(want))

test('more that was scored more than once than may be has a sentence', () => {
  expect(redoneTroubles({ ...well, redone_pct: 15 })).toEqual([])
  expect(redoneTroubles({ ...well, redone_pct: 15.1 })).toEqual([expect.stringMatching(/^15\.1 %/)])
})
