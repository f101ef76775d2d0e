import { type Run, type Schedule, mostRuns, mostWaiting } from './schedule.ts'

/** What becomes of runs where jobs take longer than the time between them. Pure: whether a job goes on is given. */

/** The run before: the last one that has a job, or is to have one. */
export const runBefore = (runs: Run[]): Run | undefined =>
  runs.findLast(({ outcome }) => outcome === 'started' || outcome === 'starting')

const isWaiting = ({ outcome }: Run): boolean => outcome === 'waiting'

type Due = Pick<Run, 'key' | 'at' | 'firedAt' | 'by' | 'missed'> & { jobId: string }

/**
 * The runs with one more that is due. `open`: the jobs of the run before that go on, or are yet to come; its own, and those
 * that it has not yet cancelled. A run that is there already changes nothing.
 */
export function addRun(runs: Run[], due: Due, { overlap }: Pick<Schedule, 'overlap'>, open: string[]): Run[] {
  if (runs.some(({ key }) => key === due.key)) return runs
  const before = runBefore(runs)
  const line = runs.filter(isWaiting).length
  const { jobId, ...run } = due
  const start: Run = { ...run, jobId, outcome: 'starting' }
  if (overlap === 'cancel') {
    const replaced = runs.map((each): Run =>
      isWaiting(each) || each.outcome === 'starting'
        ? { ...without(each), outcome: 'skipped', why: `The run of ${due.at} took its place.` }
        : each,
    )
    return keep([...replaced, open.length === 0 ? start : { ...start, instead: open }])
  }
  if (open.length === 0 && line === 0) return keep([...runs, start])
  if (overlap === 'queue' && line < mostWaiting) return keep([...runs, { ...run, outcome: 'waiting' }])
  const why =
    overlap === 'queue'
      ? `${mostWaiting} runs wait already.`
      : `The job ${before?.jobId ?? 'of the run before'} had not ended.`
  return keep([...runs, { ...run, outcome: 'skipped', why }])
}

/** The runs with the first one that waits on its way, where the job of the run before has ended. */
export function startWaiting(runs: Run[], open: string[], jobIdOf: (run: Run) => string): Run[] {
  const first = open.length > 0 ? undefined : runs.find(isWaiting)
  if (!first) return runs
  // It is the last that has a job from then on, whatever was skipped after it.
  return [...runs.filter((run) => run !== first), { ...first, outcome: 'starting', jobId: jobIdOf(first) }]
}

/** Of two producers that say what became of a run's job, who started it is right. */
export function settle(runs: Run[], key: string, to: Pick<Run, 'outcome' | 'why'>): Run[] {
  const isOpen = ({ outcome }: Run) =>
    outcome === 'starting' || (outcome === 'refused' && to.outcome === 'started')
  return runs.map((run) => {
    if (run.key !== key || !isOpen(run)) return run
    const { why: _, ...rest } = run
    return { ...rest, ...to }
  })
}

/** The job of a run that was to have one and has none. */
function without({ key, at, firedAt, by, missed, outcome }: Run): Run {
  return { key, at, firedAt, by, outcome, ...(missed === undefined ? {} : { missed }) }
}

/** Those that are under way are never forgotten. */
function keep(runs: Run[]): Run[] {
  const ended = runs.filter(({ outcome }) => outcome !== 'waiting' && outcome !== 'starting')
  const surplus = new Set(ended.slice(0, Math.max(0, runs.length - mostRuns)))
  return runs.filter((run) => !surplus.has(run))
}
