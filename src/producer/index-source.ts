import { packTimes } from '../shared/frame-times.ts'
import type { Plan } from '../shared/job.ts'
import { type FrameIndex, indexFrames } from './frame-index.ts'
import { type SourceFacts, probeSource } from './probe.ts'

/** All that a plan takes from its source. */
export type IndexedSource = {
  facts: SourceFacts
  times: Plan['times']
  frames: number
} & Pick<FrameIndex, 'keyframes' | 'warnings'>

/** Reads what a downloaded source is and when each of its frames is shown. Throws InputError where it can't be scored. */
export async function indexSource(path: string, signal?: AbortSignal): Promise<IndexedSource> {
  const facts = await probeSource(path, signal)
  const { times, keyframes, warnings } = await indexFrames(path, facts, signal)
  return { facts, times: packTimes(times), frames: times.length, keyframes, warnings }
}
