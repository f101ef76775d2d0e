/** A batch that somebody is at. Times in ms. */
export type ActiveBatch = {
  entry: string
  /** Who has it. */
  worker: string
  startedAt: number
  expectedSeconds: number
  /** There is a copy of it already. */
  copied: boolean
}

/** A batch is slow that takes longer than this many times what was expected. */
const slowFactor = 2
/** What is over in a moment is not worth a copy. */
const leastSeconds = 2

/**
 * The batches that are worth a copy, slowest first: nothing waits, a worker is idle, and a batch takes more than twice as
 * long as expected. No more than there are idle workers, and one copy of each at most.
 *
 * A worker has its batches one behind the other: the second one waits for the first at the model, so what is expected of
 * them adds up.
 */
export function slowBatches({
  now,
  waiting,
  idleWorkers,
  active,
}: {
  now: number
  waiting: number
  idleWorkers: number
  active: ActiveBatch[]
}): string[] {
  if (waiting > 0 || idleWorkers <= 0) return []
  const before = new Map<string, number>()
  const slow: { entry: string; times: number }[] = []
  for (const batch of active.toSorted((a, b) => a.startedAt - b.startedAt)) {
    const expected = (before.get(batch.worker) ?? 0) + Math.max(leastSeconds, batch.expectedSeconds)
    before.set(batch.worker, expected)
    const times = (now - batch.startedAt) / 1_000 / expected
    if (times > slowFactor && !batch.copied) slow.push({ entry: batch.entry, times })
  }
  // Each copy that is still at work has one of the workers that were idle.
  return slow
    .sort((a, b) => b.times - a.times)
    .slice(0, idleWorkers)
    .map(({ entry }) => entry)
}
