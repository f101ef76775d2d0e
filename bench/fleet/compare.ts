import type { DayRow } from './sim-day.ts'

/** What the product is held against; a policy's name begins with its kind. */
const rivalKinds = ['Azure Monitor', 'one batch per node', 'fixed', 'kept warm'] as const

export const isOurs = ({ policy }: DayRow) => policy.startsWith('framefleet ')
export const oursAt = (rows: DayRow[], backlogSeconds: number) =>
  rows.find(({ policy }) => policy === `framefleet ${backlogSeconds}`)

/** Rivals of which no setting of the product's is both cheaper and no later, by the wait that 95 % of the jobs don't exceed. */
export const unbeaten = (rows: DayRow[]): DayRow[] =>
  rows.filter(
    (rival) =>
      !isOurs(rival) &&
      !rows.some(
        (ours) => isOurs(ours) && ours.cost_ratio < rival.cost_ratio && ours.wait_p95_s <= rival.wait_p95_s,
      ),
  )

/** Of each kind the cheapest that makes nobody wait longer than `ours` does, where there is one, and the cheapest of all. */
export function bestRivals(rows: DayRow[], ours: DayRow) {
  return rivalKinds.flatMap((kind) => {
    const cheapest = rows
      .filter(({ policy }) => policy.startsWith(kind))
      .toSorted((a, b) => a.cost_ratio - b.cost_ratio)
    const [first] = cheapest
    return first ? [{ kind, inTime: cheapest.find((row) => row.wait_p95_s <= ours.wait_p95_s), first }] : []
  })
}
