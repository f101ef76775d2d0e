import { InputError } from '../shared/errors.ts'

const maxBatches = 20_000

/** Frames in a batch when the job doesn't say: some sixteen batches for a short clip, about ten seconds for a long one. */
function defaultBatchFrames(frames: number): number {
  const wanted = Math.min(250, Math.max(24, Math.ceil(frames / 16)))
  // Moving a cut to a keyframe may shorten a batch by a quarter.
  return Math.max(wanted, Math.ceil((frames * 4) / (maxBatches * 3)))
}

/**
 * Cuts `frames` into batches: the frames in each, in order. A size that was asked for is kept to the frame. Else cuts
 * move to a keyframe near by, because a batch that starts between keyframes decodes the frames since the last one in vain.
 * Throws InputError when there would be too many.
 */
export function planBatches(frames: number, keyframes: number[] | null, asked?: number): number[] {
  const size = asked ?? defaultBatchFrames(frames)
  if (Math.ceil(frames / size) > maxBatches) {
    throw new InputError(
      'too-many-batches',
      `${frames} frames in batches of ${size} make ${Math.ceil(frames / size)} batches; ${maxBatches} are the limit. Ask for larger batches.`,
    )
  }
  const reach = asked === undefined ? Math.floor(size / 4) : 0
  const batches: number[] = []
  let start = 0
  let key = 0
  while (start < frames) {
    const ideal = start + size
    let cut = ideal
    if (keyframes && reach > 0) {
      while (key < keyframes.length && (keyframes[key] as number) < ideal - reach) key++
      const near = keyframes.slice(key, key + 2 * reach).filter((frame) => frame <= ideal + reach)
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
