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
 * What there is to do, in seconds that one worker would need.
 *
 *   mostOfClient   more than that of one client's work asks for no machines, while others wait
 *   mostGuessed    nor does more than that of the work of models that nobody has measured: such a guess may be wrong a
 *                  hundredfold, and is over with the first batch that is done
 *   workers        those that are there, by whose devices work is reckoned
 *
 * How many frames a job has that is not split yet is a guess by its bytes, and known within seconds unless its source is slow
 * to come: it asks for nothing before.
 */
export async function readDemand(
  { backlog, statuses, rates, batches }: DemandDeps,
  {
    mostOfClient,
    mostGuessed,
    now,
    workers,
  }: { mostOfClient: number; mostGuessed: number; now: number; workers: WorkerRecord[] },
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

  const ofClient = new Map([...left.keys()].map((client) => [client, { known: 0, guessed: 0 }]))
  const add = (client: string, kind: 'known' | 'guessed', seconds: number) => {
    const sums = ofClient.get(client)
    if (sums) sums[kind] += seconds
  }
  let frames = 0
  let inLineSeconds = 0
  let unplannedJobs = 0
  for (const [i, { client, frames: open }] of looked.entries()) {
    const { seconds, measured } = secondsOf(works[i], unweighed(works[i], open))
    frames += open
    inLineSeconds += seconds
    if (works[i]?.batchesTotal === undefined) unplannedJobs++
    else add(client, measured ? 'known' : 'guessed', seconds)
  }
  const perFrame = (seconds: number) => (frames > 0 ? seconds / frames : 0)
  const means = { all: perFrame(inLineSeconds), known: perFrame(sum([...ofClient.values()], 'known')) }
  for (const { client, frames: open } of lines.slice(mostJobs)) {
    inLineSeconds += open * means.all
    add(client, 'known', open * means.known)
  }
  const waiting = new Set(lines.map(({ client }) => client)).size
  const most = waiting > 1 ? mostOfClient : Infinity
  const asking = [...ofClient.values()].map(({ known, guessed }) => {
    const sure = Math.min(known, most)
    return { known: sure, guessed: Math.min(guessed, most - sure) }
  })

  const whole = works.slice(looked.length).map((work) => secondsOf(work, work?.framesTotal ?? 0).seconds)
  return {
    inLineSeconds,
    demand: {
      workSeconds: sum(asking, 'known') + Math.min(sum(asking, 'guessed'), mostGuessed),
      entries: Object.values(counts).reduce((sum, count) => sum + count, 0),
      unplannedJobs,
    },
    arrivals: {
      perSecond: arrived / hourSeconds,
      workSeconds: whole.reduce((sum, each) => sum + each, 0) / Math.max(1, whole.length),
    },
  }
}

const sum = <K extends string>(each: Record<K, number>[], key: K) =>
  each.reduce((all, one) => all + one[key], 0)

/** How many frames, or rows, of a job weigh so much in line. */
const unweighed = (work: JobWork | undefined, left: number) =>
  work?.weight && work.framesTotal ? (left * work.framesTotal) / work.weight : left

/** Seconds for so many frames of a job: each frame, and what its batches cost beside. */
function estimator(reckoning: Reckoning) {
  return (work: JobWork | undefined, frames: number) => {
    const { model = '', models, size, framesTotal = 0, batchesTotal = 1 } = work ?? {}
    const rate = reckoning({ model, models, size })
    const batches = framesTotal > 0 ? (batchesTotal * frames) / framesTotal : 0
    const seconds = frames * rate.secondsPerFrame + batches * rate.setUpSeconds
    return { seconds, measured: rate.measured }
  }
}
