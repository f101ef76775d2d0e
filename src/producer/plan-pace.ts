import type { Plan } from '../shared/job.ts'
import { usualSetUpSeconds } from '../shared/rates.ts'
import type { Pace } from './plan-batches.ts'
import type { Reckoning } from '../shared/reckoning.ts'

/** How the pace is found that videos are cut by: as measured, as if it never were, or so many frames a second. */
export type PaceWish = 'measured' | 'unknown' | number

/**
 * The pace to cut a video by. Where segments begin shows in the bytes of the result, so measured numbers count in coarse
 * steps: only a fleet that has become a good deal faster or slower cuts the same video in another way.
 */
export function paceFor(
  work: { model: string; size: string },
  { wish, workers, reckoning }: { wish: PaceWish; workers: number; reckoning: Reckoning },
): NonNullable<Plan['pace']> {
  if (typeof wish === 'number')
    return { workers, secondsPerFrame: 1 / wish, setUpSeconds: usualSetUpSeconds, measured: true }
  const { secondsPerFrame, setUpSeconds, measured } = reckoning(work)
  return {
    workers,
    secondsPerFrame: roughly(secondsPerFrame),
    setUpSeconds: roughly(setUpSeconds),
    measured: measured && wish === 'measured',
  }
}

/** As the cutting takes it: a pace that is only guessed counts for nothing. */
export const cuttingPace = ({ workers, measured, ...pace }: NonNullable<Plan['pace']>): Pace =>
  measured ? { workers, ...pace } : { workers }

/** To the nearest of steps of √2, from a sixteenth of a millisecond on. */
const roughly = (seconds: number) => 2 ** (Math.round(2 * Math.log2(Math.max(seconds, 2 ** -14))) / 2)
