import type { Range } from '../shared/media/frame-range.ts'

/** Why a range can't be scored; undefined when it can. Errors that are not the frames' fault are thrown. */
export type Trial = (range: Range) => Promise<Error | undefined>

export type Isolated = { frames: number[]; why?: Error }

/**
 * Finds the frames of a range that can't be scored, by halving it until they are alone:
 *
 *   range ──fails──► halves ──fail──► … ──► one frame ──fails──► once more ──fails──► bad
 *
 * A frame is found bad only by failing alone twice: an engine may die of something else in the middle of a trial.
 * Stops once more than `most` are found.
 */
export async function isolate(range: Range, trial: Trial, most: number): Promise<Isolated> {
  const found: Isolated = { frames: [] }
  const search = async ({ first, count }: Range): Promise<void> => {
    if (found.frames.length > most) return
    const error = await trial({ first, count })
    if (!error) return
    if (count > 1) {
      const half = Math.ceil(count / 2)
      await search({ first, count: half })
      await search({ first: first + half, count: count - half })
      return
    }
    const again = await trial({ first, count })
    if (!again) return
    found.frames.push(first)
    found.why ??= again
  }
  await search(range)
  return found
}
