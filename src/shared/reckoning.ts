import type { WorkerRecord } from './fleet.ts'
import { type Rate, type Rates, expectedRate } from './rates.ts'
import type { WorkerRegistry } from './worker-registry.ts'

type ReckoningDeps = { rates: Pick<Rates, 'all'>; registry: Pick<WorkerRegistry, 'list'> }

/**
 * How long a frame and a batch of some work are likely to take, and whether that was ever measured. Of `models`, each of
 * which does as much of it as the others: on the average.
 */
export type Reckoning = (work: {
  model: string
  models?: string[] | undefined
  size?: string | undefined
}) => Expected
type Expected = ReturnType<typeof expectedRate>

export async function readReckoning({ rates, registry }: ReckoningDeps): Promise<Reckoning> {
  const [known, workers] = await Promise.all([rates.all(), registry.list()])
  return reckoningOf(known, workers)
}

/** Reckons with what was measured so far on the device that most of the present workers have. Pure. */
export function reckoningOf(known: Rate[], workers: Pick<WorkerRecord, 'device'>[]): Reckoning {
  const device = mostCommon(workers.flatMap((worker) => worker.device ?? []))
  const reckoned = new Map<string, Expected>()
  return ({ model: only, models = [only], size }) => {
    const key = `${models.join('\n')}|${size ?? ''}`
    const rate =
      reckoned.get(key) ?? mean(models.map((model) => expectedRate(known, { model, size, device })))
    reckoned.set(key, rate)
    return rate
  }
}

const mean = (each: Expected[]): Expected => ({
  secondsPerFrame: each.reduce((sum, { secondsPerFrame }) => sum + secondsPerFrame, 0) / each.length,
  setUpSeconds: each.reduce((sum, { setUpSeconds }) => sum + setUpSeconds, 0) / each.length,
  measured: each.every(({ measured }) => measured),
})

const goodForMs = 2_000

/**
 * As it was read within the last two seconds: a thousand workers would otherwise be asked for with each of a thousand
 * splits. Those who ask at once share one look.
 */
export function keptReckoning(read: () => Promise<Reckoning>): () => Promise<Reckoning> {
  let kept: { at: number; reckoning: Promise<Reckoning> } | undefined
  return async () => {
    if (kept && performance.now() - kept.at < goodForMs) return await kept.reckoning
    const fresh = { at: performance.now(), reckoning: read() }
    kept = fresh
    fresh.reckoning.catch(() => {
      if (kept === fresh) kept = undefined
    })
    return await fresh.reckoning
  }
}

function mostCommon(devices: string[]): string | undefined {
  const counts = new Map<string, number>()
  for (const device of devices) counts.set(device, (counts.get(device) ?? 0) + 1)
  return [...counts].toSorted(([a, m], [b, n]) => n - m || (a < b ? -1 : 1))[0]?.[0]
}
