import type { Span } from './diary.ts'
import type { Strike } from './strikes.ts'

/** What a storm found, as it is printed with `--json`. */
export type Outcome = {
  seed: number
  minutes: number
  faults: number
  kinds: number
  /** Accepted during the storm. */
  jobs: number
  /** Accepted, and then unknown, or ended without a report; or refused for no fault of the customer. */
  lost: number
  /** Not ended, or not even accepted, long after the storm was over. */
  hung: number
  /** Ended, but not as they must: failed where they had to succeed, or the other way round. */
  wrong_ends: number
  /** Frames of outputs that are not, pixel for pixel and tick for tick, those of a run without faults. */
  differing_frames: number
  /** Frames scored more than once, in percent of the frames of all plans, going by claims: see countRedone. */
  redone_pct: number
  /** Processes, files, blobs and keys that nobody needs any more, and that are still there. */
  orphans: number
  /** Jobs with a frame that their model can't score, and entries on the queues that nobody can read. */
  poison_injected: number
  poison_quarantined: number
  /** Seconds from a fault's strike until something was done that was begun after it, the longest. */
  worst_recovery_s: number
  by_kind: Record<string, { count: number; worst_recovery_s: number }>
}

/**
 * Seconds from each strike until a batch was committed, or a job ended, that somebody took up after the strike: what was
 * under way already may come to its end in a system that can begin nothing. While a fault lasts that the system can't
 * work with, its length is part of it. `until` stands in where nothing was done any more.
 */
export function recoveries(strikes: Pick<Strike, 'at'>[], done: Span[], until: number): number[] {
  return strikes.map(({ at }) => {
    const { to } = done.find(({ from }) => from > at) ?? { to: until }
    return Math.round((to - at) / 100) / 10
  })
}

export function byKind(strikes: Strike[], seconds: number[]): Outcome['by_kind'] {
  const found: Outcome['by_kind'] = {}
  for (const [i, { kind }] of strikes.entries()) {
    const before = found[kind] ?? { count: 0, worst_recovery_s: 0 }
    found[kind] = {
      count: before.count + 1,
      worst_recovery_s: Math.max(before.worst_recovery_s, seconds[i] ?? 0),
    }
  }
  return Object.fromEntries(Object.entries(found).toSorted(([a], [b]) => a.localeCompare(b)))
}

/** Whether everything is there, everything is right, and nothing was left behind: promised in any storm. */
export const isWhole = (outcome: Outcome): boolean =>
  ['lost', 'hung', 'wrong_ends', 'differing_frames', 'orphans'].every(
    (key) => outcome[key as keyof Outcome] === 0,
  ) && outcome.poison_quarantined === outcome.poison_injected

/** A fault may cost what was under way, and no more; but how much that is of all depends on how often one strikes. */
const mostRedonePct = 15

/** What is to be said of the work that was done again, at the pace of faults that `npm run chaos` keeps. */
export const redoneTroubles = ({ redone_pct: redone }: Outcome): string[] =>
  redone > mostRedonePct
    ? [`${redone} % of the frames were scored more than once; ${mostRedonePct} % are the limit`]
    : []

/** The outcome for people. */
export function describeOutcome(outcome: Outcome): string {
  const { by_kind: kinds, ...figures } = outcome
  const rows = [
    ...Object.entries(figures).map(([name, value]) => [name, String(value)]),
    ['', ''],
    ...Object.entries(kinds).map(([kind, { count, worst_recovery_s: worst }]) => [
      kind,
      `${count} times, the longest recovery ${worst.toFixed(1)} s`,
    ]),
  ]
  const width = Math.max(...rows.map(([name = '']) => name.length))
  return rows.map(([name = '', value = '']) => `${name.padEnd(width)}  ${value}`.trimEnd()).join('\n')
}
