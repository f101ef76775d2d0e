import { InputError } from '../shared/errors.ts'

const maxBatches = 20_000
/** A batch costs some tenths of a second beside its frames: two programs start, a segment is stored. */
const leastFrames = 16
/** What a worker that vanishes may lose. */
const mostFrames = 250

/**
 * Frames of the next batch, when so many remain of a video that so many workers share: half of an even share, so that
 * batches shrink towards the end, and no worker is left with a long one when the others have run out of work. A single
 * worker has nobody to wait for.
 */
export function guidedSize(remaining: number, frames: number, workers: number): number {
  // Of very long videos both grow, so that there are never too many: moving cuts to keyframes may shorten batches by a
  // quarter, and the end of the video is in smaller ones.
  const least = Math.max(leastFrames, Math.ceil(frames / maxBatches))
  const most = Math.max(mostFrames, Math.ceil((frames * 5) / (maxBatches * 3)))
  const shares = workers === 1 ? 1 : 2 * workers
  return Math.min(most, Math.max(least, Math.ceil(remaining / shares)))
}

/**
 * Cuts `frames` into batches: the frames in each, in order. A size that was asked for is kept to the frame. Else sizes are guided
 * by the number of workers, and cuts move to a keyframe near by, because a batch that starts between keyframes
 * decodes the frames since the last one in vain. Throws InputError when there would be too many.
 */
export function planBatches(
  frames: number,
  keyframes: number[] | null,
  { asked, workers }: { asked?: number; workers: number },
): number[] {
  if (asked !== undefined && Math.ceil(frames / asked) > maxBatches) {
    throw new InputError(
      'too-many-batches',
      `${frames} frames in batches of ${asked} make ${Math.ceil(frames / asked)} batches; ${maxBatches} are the limit. Ask for larger batches.`,
    )
  }
  const batches: number[] = []
  let start = 0
  let key = 0
  while (start < frames) {
    const size = asked ?? guidedSize(frames - start, frames, workers)
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
