import pMap from 'p-map'

/**
 * Does something with each, so many at once. Where one fails, or it is told to stop, no more are begun, and those under way are
 * waited for: what they write must not come after whoever asked has gone on.
 */
export async function settledMap<T>(
  each: T[],
  work: (one: T, index: number) => Promise<void>,
  { concurrency, signal }: { concurrency: number; signal: AbortSignal },
): Promise<void> {
  const underWay = new Set<Promise<void>>()
  const tracked = async (one: T, index: number) => {
    const working = work(one, index).finally(() => underWay.delete(working))
    underWay.add(working)
    await working
  }
  try {
    await pMap(each, tracked, { concurrency, signal })
  } finally {
    await Promise.allSettled(underWay)
  }
}
