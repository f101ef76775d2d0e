import { InputError } from '../shared/errors.ts'

const maxBatches = 20_000
/** A batch costs some tenths of a second beside its frames: two programs start, a segment is stored. */
const leastFrames = 16
/** What a worker that vanishes may lose: frames where nobody knows how long one takes, else seconds. */
const mostFrames = 250
const mostSeconds = 60
/** Who comes later waits for the end of batches: they are this short, or as long as is worth twenty set-ups. */
const shortMost = 10

/** What a video is cut by. */
export type Pace = {
  /** How many workers share it. */
  workers: number
  /** Seconds that one worker needs for a frame; undefined where that was never measured. */
  secondsPerFrame?: number
  /** Seconds that a batch costs beside its frames. */
  setUpSeconds?: number
}

/** How batches shrink: the share of what remains that one takes, and the sizes it stays between. */
type Rule = { shares: number; least: number; most: number }

/**
 * Of a model that was never measured a batch takes half of an even share of what remains, so that batches shrink towards
 * the end, and no worker is left with a long one when the others have run out of work. A single worker has nobody to
 * wait for.
 *
 * Where the pace is known, s seconds of set-up are weighed against the end, where workers wait for the last batch: with M
 * seconds for all, equal batches of √(2sM) seconds would waste least. The longest are a fifth above that, and never longer
 * than is worth twenty set-ups: a slow worker holds up no more than one, and whoever comes next waits for the end of one.
 * So few of them are left at the end that the list need shrink late, and not below what is worth four set-ups.
 */
function ruleFor(frames: number, { workers, secondsPerFrame, setUpSeconds = 0 }: Pace): Rule {
  const even = (shares: number) => (workers === 1 ? 1 : shares * workers)
  if (secondsPerFrame === undefined)
    return bounded(frames, { shares: even(2), least: leastFrames, most: mostFrames })
  const best = Math.sqrt((2 * setUpSeconds * frames * secondsPerFrame) / workers)
  const framesOf = (seconds: number) => Math.max(leastFrames, Math.round(seconds / secondsPerFrame))
  return bounded(frames, {
    shares: even(0.8),
    least: framesOf(Math.min(4 * setUpSeconds, mostSeconds)),
    most: framesOf(Math.min(1.2 * best, Math.max(20 * setUpSeconds, shortMost), mostSeconds)),
  })
}

/**
 * Of very long videos both sizes grow, so that there are never too many batches: moving cuts to keyframes may shorten them
 * by a quarter, and the end of the video is in smaller ones.
 */
function bounded(frames: number, { shares, least, most }: Rule): Rule {
  const longEnough = Math.max(least, Math.ceil(frames / maxBatches))
  return {
    shares,
    least: longEnough,
    most: Math.max(most, longEnough, Math.ceil((frames * 5) / (maxBatches * 3))),
  }
}

const sizeBy = ({ shares, least, most }: Rule, remaining: number) =>
  Math.min(most, Math.max(least, Math.ceil(remaining / shares)))

/** Frames of the next batch, when so many remain of a video. */
export const guidedSize = (remaining: number, frames: number, pace: Pace): number =>
  sizeBy(ruleFor(frames, pace), remaining)

/**
 * Cuts `frames` into batches: the frames in each, in order. A size that was asked for is kept to the frame. Else sizes are
 * guided by the pace, and cuts move to a keyframe near by, because a batch that starts between keyframes
 * decodes the frames since the last one in vain. Throws InputError when there would be too many.
 */
export function planBatches(
  frames: number,
  keyframes: number[] | null,
  { asked, ...pace }: Pace & { asked?: number },
): number[] {
  if (asked !== undefined && Math.ceil(frames / asked) > maxBatches) {
    throw new InputError(
      'too-many-batches',
      `${frames} frames in batches of ${asked} make ${Math.ceil(frames / asked)} batches; ${maxBatches} are the limit. Ask for larger batches.`,
    )
  }
  const rule = ruleFor(frames, pace)
  const batches: number[] = []
  let start = 0
  let key = 0
  while (start < frames) {
    const size = asked ?? sizeBy(rule, frames - start)
    const reach = asked === undefined ? Math.floor(size / 4) : 0
    const ideal = start + size
    let cut = ideal
    if (keyframes && reach > 0) {
      while (key < keyframes.length && (keyframes[key] as number) < ideal - reach) key++
      const near = keyframes.slice(key, key + 2 * reach + 1).filter((frame) => frame <= ideal + reach)
      cut = near.sort((a, b) => Math.abs(a - ideal) - Math.abs(b - ideal))[0] ?? ideal
    }
    // A last crumb joins the batch before it, unless the size was asked for.
    if (frames - cut < reach) cut = frames
    cut = Math.min(cut, frames)
    batches.push(cut - start)
    start = cut
  }
  return batches
}
