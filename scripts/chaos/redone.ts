import { Plan } from '../../src/shared/job.ts'
import { layout } from '../../src/shared/layout.ts'
import { entryIds } from '../../src/shared/queues.ts'
import type { Diary } from './diary.ts'
import type { World } from './world.ts'

/**
 * How many frames the plans of these jobs have in all, and how many of them were scored more than once.
 *
 * The latter goes by claims: a batch is wanted by one worker once. Each further time that a worker claimed it and found
 * something to score, whether it came to its first frame or its last before it was killed, counts as all of its frames.
 * What a worker scores several times within one claim is not counted: a batch that is tried alone, or halved to find the
 * frames that its model can't score.
 */
export async function countRedone(
  { media, evidence }: Pick<World, 'media' | 'evidence'>,
  jobIds: string[],
  { skipped }: Diary,
): Promise<{ frames: number; redone: number }> {
  const sum = { frames: 0, redone: 0 }
  for (const jobId of jobIds) {
    // A job that was cancelled or failed early has none.
    const plan = await media.readJson(layout.plan(jobId), Plan)
    for (const [index, count] of plan?.batches.entries() ?? []) {
      const entry = entryIds.batch(jobId, index)
      const scored = (evidence.claims.get(entry) ?? 0) - (skipped.get(entry) ?? 0)
      sum.frames += count
      sum.redone += Math.max(0, scored - 1) * count
    }
  }
  return sum
}
