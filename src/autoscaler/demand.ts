import type { Queue } from 'bullmq'
import type { Backlog } from '../shared/backlog.ts'
import type { WorkerRecord } from '../shared/fleet.ts'
import type { JobStatuses, JobWork } from '../shared/job-status.ts'
import type { Rates } from '../shared/rates.ts'
import { type Reckoning, reckoningOf } from '../shared/reckoning.ts'
import type { Snapshot } from './policy.ts'

export type DemandDeps = {
  backlog: Pick<Backlog, 'left'>
  statuses: Pick<JobStatuses, 'works' | 'since' | 'list'>
  rates: Pick<Rates, 'all'>
  batches: Pick<Queue, 'getJobCounts'>
}

/** Most jobs that are looked at one by one; of further ones the frames count as those of these do. */
const mostJobs = 10_000
const hourSeconds = 3_600
/** What the next job may be like: as the latest were. */
const latestJobs = 100

/**
 * What there is to do, in seconds that one worker would need. `mostOfClient`: more than that of one client's work asks for
 * no machines. `workers`: those that are there, by whose devices work is reckoned.
 */
export async function readDemand(
  { backlog, statuses, rates, batches }: DemandDeps,
  { mostOfClient, now, workers }: { mostOfClient: number; now: number; workers: WorkerRecord[] },
): Promise<Pick<Snapshot, 'demand' | 'arrivals'> & { inLineSeconds: number }> {
  const [left, known, counts, arrived, latest] = await Promise.all([
    backlog.left(),
    rates.all(),
    batches.getJobCounts('waiting', 'prioritized', 'active', 'delayed'),
    statuses.since(now - hourSeconds * 1_000),
    statuses.list(0, latestJobs),
  ])
  const lines = [...left].flatMap(([client, jobs]) =>
    [...jobs].map(([id, frames]) => ({ client, id, frames })),
  )
  const looked = lines.slice(0, mostJobs)
  const works = await statuses.works([...looked.map(({ id }) => id), ...latest])
  const secondsOf = estimator(reckoningOf(known, workers))

  const ofClient = new Map<string, number>()
  const add = (client: string, seconds: number) => ofClient.set(client, (ofClient.get(client) ?? 0) + seconds)
  let frames = 0
  let unplannedJobs = 0
  for (const [i, { client, frames: open }] of looked.entries()) {
    frames += open
    if (works[i]?.batchesTotal === undefined) unplannedJobs++
    add(client, secondsOf(works[i], open))
  }
  const mean = frames > 0 ? [...ofClient.values()].reduce((sum, each) => sum + each, 0) / frames : 0
  for (const { client, frames: open } of lines.slice(mostJobs)) add(client, open * mean)

  const whole = works.slice(looked.length).map((work) => secondsOf(work, work?.framesTotal ?? 0))
  const inLine = [...ofClient.values()]
  return {
    inLineSeconds: inLine.reduce((sum, each) => sum + each, 0),
    demand: {
      workSeconds: inLine.reduce((sum, each) => sum + Math.min(each, mostOfClient), 0),
      entries: Object.values(counts).reduce((sum, count) => sum + count, 0),
      unplannedJobs,
    },
    arrivals: {
      perSecond: arrived / hourSeconds,
      workSeconds: whole.reduce((sum, each) => sum + each, 0) / Math.max(1, whole.length),
    },
  }
}

/** Seconds for so many frames of a job: each frame, and what its batches cost beside. */
function estimator(reckoning: Reckoning) {
  return (work: JobWork | undefined, frames: number): number => {
    const { model = '', size, framesTotal = 0, batchesTotal = 1 } = work ?? {}
    const rate = reckoning({ model, size })
    const batches = framesTotal > 0 ? (batchesTotal * frames) / framesTotal : 0
    return frames * rate.secondsPerFrame + batches * rate.setUpSeconds
  }
}
