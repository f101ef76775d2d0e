import { InputError } from '../shared/errors.ts'
import type { Engine } from './engine.ts'

/** A run that takes longer is bound by its arithmetic: more frames in it would only take longer. */
const longRunMs = 20
const groups = [2, 4, 8]
/** A larger group must be faster by this much to be worth its memory. */
const gain = 0.95

/**
 * How many frames a run are fastest, tried out here and now: the same model wants one on a processor and may want
 * several on a GPU. `start` loads the model for a group of that many.
 */
export async function startBestGroup(start: (group: number) => Promise<Engine>): Promise<Engine> {
  let best = await start(1)
  if (best.runMs > longRunMs) return best
  for (const group of groups) {
    const next = await start(group).catch((error: unknown) => {
      // Models that were made for one frame at a time say so here.
      if (error instanceof InputError) return undefined
      throw error
    })
    if (!next) return best
    if (next.runMs / group > (best.runMs / best.group) * gain) {
      await next.close()
      return best
    }
    await best.close()
    best = next
  }
  return best
}
