import { InputError } from './errors.ts'

/** What a segment's blob says of itself, in its metadata. */
export type SegmentFacts = {
  frames: number
  /** Frames, counted from the batch's first, that show another one's picture because their own can't be decoded. */
  replaced: number[]
  /** Frames that show the source's picture because the model can't score them. */
  through: number[]
}

export function writeSegmentFacts({ frames, replaced, through }: SegmentFacts): Record<string, string> {
  // Metadata travels in headers, 8 KiB in all: runs are written, and a thousand lone frames, the most a job may
  // allow, still fit.
  return {
    frames: String(frames),
    replaced: toRuns(replaced),
    ...(through.length > 0 ? { through: toRuns(through) } : {}),
  }
}

/** How many frames a segment says it has; NaN where it says nothing. */
export const framesOfSegment = (metadata: Record<string, string>): number => Number(metadata['frames'])

/**
 * What the segment of a batch of `count` frames says; undefined where it does not have them. Throws InputError `bad-segment`
 * where it names others than those: no worker of ours wrote that.
 */
export function readSegmentFacts(metadata: Record<string, string>, count: number): SegmentFacts | undefined {
  if (framesOfSegment(metadata) !== count) return undefined
  return {
    frames: count,
    replaced: fromRuns(metadata['replaced'] ?? '', count),
    through: fromRuns(metadata['through'] ?? '', count),
  }
}

function toRuns(numbers: number[]): string {
  const runs: [number, number][] = []
  for (const number of numbers) {
    const last = runs.at(-1)
    if (last && last[1] === number - 1) last[1] = number
    else runs.push([number, number])
  }
  return runs.map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`)).join(' ')
}

/** Each run begins after the one before: so all of them together are no more than `count`, whatever the text says. */
function fromRuns(text: string, count: number): number[] {
  const numbers: number[] = []
  let least = 0
  for (const run of text.split(' ').filter(Boolean)) {
    const [, first = '', last = first] = /^(\d+)(?:-(\d+))?$/.exec(run) ?? []
    const [from, to] = [Number(first), Number(last)]
    if (first === '' || from < least || to < from || to >= count) {
      throw new InputError(
        'bad-segment',
        `A segment of ${count} frames says that it shows others for ${run}.`,
      )
    }
    for (let frame = from; frame <= to; frame++) numbers.push(frame)
    least = to + 1
  }
  return numbers
}
