/** A batch that somebody is at. */
export type ActiveBatch = {
  entry: string
  /** Who has it. */
  worker: string
  /** In ms. */
  startedAt: number
  /** From its claim to its end, on a worker that has nothing else. */
  expectedSeconds: number
  /** How much of that is gone before its first frame is done. */
  setUpSeconds: number
  /** How much of its frames is done, as its worker said last: 0 … 1. */
  fractionDone: number
  /** There is a copy of it already, or it is to have none. */
  copied: boolean
}

/** A batch is slow that is going to take longer than this many times what was expected. */
const slowFactor = 2
/** What is over in a moment is not worth a copy. */
const leastSeconds = 2
/** With fewer of its frames done nothing is said about how long the others will take. */
const leastFraction = 0.1

/**
 * The batches that are worth a copy, slowest first: nothing waits, a worker is idle, a batch is going to take more than
 * twice as long as expected, and the copy is likely to be done first. No more than there are idle workers, and one copy
 * of each at most.
 *
 * How long a batch is going to take follows from what is done of it, so that a slow worker is known after a tenth of a batch;
 * waiting for twice the time would only find out when a copy comes too late.
 */
export function slowBatches({
  now,
  waiting,
  idleWorkers,
  active,
}: {
  /** In ms. */
  now: number
  waiting: number
  idleWorkers: number
  active: ActiveBatch[]
}): string[] {
  if (waiting > 0 || idleWorkers <= 0) return []
  const before = new Map<string, number>()
  const slow: { entry: string; times: number }[] = []
  for (const batch of active.toSorted((a, b) => a.startedAt - b.startedAt)) {
    const alone = Math.max(leastSeconds, batch.expectedSeconds)
    // A worker has its batches one behind the other: the second one waits for the first at the model.
    const expected = (before.get(batch.worker) ?? 0) + alone
    before.set(batch.worker, expected)
    const elapsed = (now - batch.startedAt) / 1_000
    const { total, left } = projected(elapsed, batch)
    const times = total / expected
    if (times > slowFactor && left > alone && !batch.copied) slow.push({ entry: batch.entry, times })
  }
  return slow
    .sort((a, b) => b.times - a.times)
    .slice(0, idleWorkers)
    .map(({ entry }) => entry)
}

/** Seconds that a batch is going to take, and that it still needs. One that does not move may need for ever. */
function projected(elapsed: number, { fractionDone, setUpSeconds }: ActiveBatch) {
  if (fractionDone < leastFraction) return { total: elapsed, left: Infinity }
  const setUp = Math.min(setUpSeconds, elapsed)
  const left = ((elapsed - setUp) * (1 - fractionDone)) / fractionDone
  return { total: elapsed + left, left }
}
