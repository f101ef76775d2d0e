import { isRowSize, rowsPerFrame } from './rates.ts'

/**
 * What work weighs in line, where all kinds of it stand one behind the other: a frame of a video and an image are 1 each; so are
 * as many rows of a table as usually take as long, and what is left over of a batch. Pure.
 */
export function weightOf({ frames, batches, size }: Work): number {
  if (size === undefined || !isRowSize(size)) return frames
  return batches.reduce((sum, rows) => sum + Math.ceil(rows / rowsPerFrame), 0)
}

/** `batches`: frames, or rows, in each. `size`: of a table `FEATURESx1`. */
type Work = { frames: number; batches: number[]; size?: string | undefined }
