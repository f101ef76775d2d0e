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

export function readSegmentFacts(metadata: Record<string, string>): SegmentFacts {
  return {
    frames: Number(metadata['frames']),
    replaced: fromRuns(metadata['replaced'] ?? ''),
    through: fromRuns(metadata['through'] ?? ''),
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

function fromRuns(text: string): number[] {
  return text
    .split(' ')
    .filter(Boolean)
    .flatMap((run) => {
      const [from = 0, to = from] = run.split('-').map(Number)
      return Array.from({ length: to - from + 1 }, (_, i) => from + i)
    })
}
