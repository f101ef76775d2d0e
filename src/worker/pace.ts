import type { Measured } from '../shared/rates.ts'

/** A batch that was scored whole, at its first try: milliseconds from when its engine took it up. */
export type PacedBatch = {
  frames: number
  /** Until its source and its model were there; until its first frame was at the model; until it was committed. */
  ms: { fetch: number; setUp: number; total: number }
}

type Run = {
  /** Since when another batch was beside it; Infinity while none was. */
  companyFrom: number
  /** One beside it took of its time and came to nothing. */
  disturbed: boolean
}

const latest = 8

/**
 * How fast a worker is, by its batches. Two overlap: of the time in which both were there, each frame is counted once, with
 * the batch that was committed later.
 *
 *   one    |fetch|set-up|=== its frames ===|
 *   other              |fetch|set-up|- - - -|== its frames ==|     counted from the commit of the one before
 *
 * All times are in ms of one clock.
 */
export function createPace() {
  const running = new Set<Run>()
  const measured: Measured[] = []
  let lastCommit = -Infinity

  function measure({ companyFrom, disturbed }: Run, at: number, batch?: PacedBatch): Measured | undefined {
    if (!batch) {
      for (const other of running) other.disturbed = true
      return undefined
    }
    const { frames, ms } = batch
    const firstFrame = at - ms.total + ms.setUp
    const from = Math.max(firstFrame, lastCommit)
    lastCommit = at
    if (disturbed || frames === 0 || at <= from) return undefined
    // What was fetched is there for the next batch; a set-up beside another batch waits for its turn at the model.
    const setUpSeconds = companyFrom < firstFrame ? undefined : Math.max(0, ms.setUp - ms.fetch) / 1_000
    return { frames, seconds: (at - from) / 1_000, ...(setUpSeconds === undefined ? {} : { setUpSeconds }) }
  }

  return {
    /** A batch is taken up. Answers what to call at its end: with nothing when it came to nothing, or is no measure. */
    begin(at: number): (end: number, batch?: PacedBatch) => Measured | undefined {
      for (const other of running) other.companyFrom = Math.min(other.companyFrom, at)
      const run: Run = { companyFrom: running.size > 0 ? at : Infinity, disturbed: false }
      running.add(run)
      return (end, batch) => {
        running.delete(run)
        const found = measure(run, end, batch)
        if (found) measured.push(found)
        if (measured.length > latest) measured.shift()
        return found
      }
    },
    /** While it was busy, over the latest batches; null before the first. */
    framesPerSecond(): number | null {
      const frames = measured.reduce((sum, each) => sum + each.frames, 0)
      const seconds = measured.reduce((sum, each) => sum + each.seconds + (each.setUpSeconds ?? 0), 0)
      return seconds > 0 ? frames / seconds : null
    },
  }
}
