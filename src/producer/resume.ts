import { randomUUID } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { FlowProducer } from 'bullmq'
import type { Redis } from 'ioredis'
import { type Backlog, createBacklog } from '../shared/backlog.ts'
import { concludeJob } from '../shared/end-job.ts'
import { InputError } from '../shared/errors.ts'
import { isItemsPlan } from '../shared/items/items-plan.ts'
import { type JobPlan, type JobSpec, isEnded } from '../shared/job.ts'
import { type Incidents, createIncidents } from '../shared/incidents.ts'
import type { JobFiles } from '../shared/job-files.ts'
import { type JobStatuses, createJobStatuses } from '../shared/job-status.ts'
import type { Logger } from '../shared/log.ts'
import { openQueue } from '../shared/open-queue.ts'
import { entryIds } from '../shared/queues.ts'
import { weightOf } from '../shared/weight.ts'
import { statusOf } from './accept-job.ts'
import { estimateFrames } from './admission.ts'
import { createFairOrder } from './fair-queue.ts'
import {
  type FlowDeps,
  addBatches,
  addLoneStitch,
  addSplit,
  isAlive,
  removeFlow,
  renewFlow,
  wakeStitch,
} from './flow.ts'

export type ResumeDeps = FlowDeps & {
  prefix: string
  files: JobFiles
  statuses: JobStatuses
  backlog: Pick<Backlog, 'put'>
  flows: FlowProducer
  incidents: Pick<Incidents, 'forget'>
  log: Logger
}

/** What jobs are put on the queues with, over one connection. */
export function openFlows(
  redis: Redis,
  {
    prefix,
    files,
    log,
    share = 1,
  }: { prefix: string; files: JobFiles; log: Logger; /** see createFairOrder */ share?: number },
) {
  const over = { connection: redis, prefix }
  const queues = {
    split: openQueue('split', over),
    batch: openQueue('batch', over),
    stitch: openQueue('stitch', over),
  }
  const flows = new FlowProducer(over)
  return {
    ...{ redis, prefix, files, log, queues, flows },
    order: createFairOrder({ redis, prefix, share }),
    statuses: createJobStatuses(redis, prefix),
    backlog: createBacklog(redis, prefix),
    incidents: createIncidents(redis, prefix),
    async close(): Promise<void> {
      await Promise.all([flows, ...Object.values(queues)].map(async (each) => await each.close()))
    },
  }
}

/** `resumed`: something was put back; `running`: nothing was missing, or somebody else is at it. */
export type Resumed = 'resumed' | 'running' | 'ended' | 'unknown'

/**
 * Puts a job back on the queues from what lies in Blob, as far as it is missing there. What is committed is not scored
 * again. Safe to repeat, and while the job runs.
 *
 *   no job.json ─► unknown         a report ─► ended: what an end leaves to do is done
 *   stitch gone ─► the flow anew; its split finds the plan, and adds the batches without a segment
 *   stitch there ─► its lost children are added again
 *   ended as Redis knows, without a report ─► a stitch that writes it
 *
 * `again` runs a job anew that failed or was cancelled, by the same plan; an end that is still under way is waited for.
 * Throws InputError: `secret-gone` for one whose SAS is gone, `job-ending` for one whose end takes longer.
 */
export async function resumeJob(
  deps: ResumeDeps,
  id: string,
  { again = false, endsWithinMs = 5_000 }: { again?: boolean; endsWithinMs?: number } = {},
): Promise<Resumed> {
  const { files, statuses } = deps
  const spec = await files.findSpec(id)
  if (!spec) return 'unknown'
  return await alone(deps, id, async () => {
    const report = await files.readReport(id)
    const state = (await statuses.get(id))?.state
    const anew =
      again && (report ? report.status !== 'succeeded' : state === 'failed' || state === 'cancelled')
    if (anew) {
      refuseSecret(spec, await files.findPlan(id))
      await untilEnded(deps, id, { isReported: report !== undefined, endsWithinMs })
      await forgetEnd(deps, spec)
    } else if (report) {
      await concludeJob(deps, report)
      return 'ended'
    }
    return await putBack(deps, spec)
  })
}

/**
 * Stitches the frames of a job once more that kept them as images, as they are now; what is missing among them is scored again.
 * Throws InputError: `no-frames` for a job that kept none or did not succeed, `secret-gone` and `job-ending` as resumeJob does.
 */
export async function restitchJob(
  deps: ResumeDeps,
  id: string,
  { endsWithinMs = 5_000 }: { endsWithinMs?: number } = {},
): Promise<Resumed> {
  const { files } = deps
  const spec = await files.findSpec(id)
  if (!spec) return 'unknown'
  if (spec.request.intermediate !== 'frames')
    throw new InputError('no-frames', `The job ${id} kept no frames: submit it with intermediate "frames".`)
  return await alone(deps, id, async () => {
    const report = await files.readReport(id)
    if (!report) return await putBack(deps, spec)
    if (report.status !== 'succeeded')
      throw new InputError('no-frames', `The job ${id} did not succeed; run it anew first (resume --again).`)
    refuseSecret(spec, undefined)
    await untilEnded(deps, id, { isReported: true, endsWithinMs })
    await forgetEnd(deps, spec)
    return await putBack(deps, spec)
  })
}

async function putBack(deps: ResumeDeps, spec: JobSpec): Promise<Resumed> {
  const { files, statuses, backlog } = deps
  const { id } = spec
  const [mark, plan] = await Promise.all([files.openMark(id), files.findPlan(id)])
  if (!mark) await files.markOpen(id)
  await backlog.put(id, spec.client, plan ? weightOf(plan) : estimateFrames(spec))
  // In one step: between two, the stitch could begin to publish what was cancelled.
  await statuses.create({ ...statusOf(spec), ...(mark?.cancelled ? { halt: 'cancelled' as const } : {}) })
  if (mark?.cancelled) await haltByMark(deps, id)
  if (await isAlive(deps, 'stitch', entryIds.stitch(id))) {
    return (await mendChildren(deps, spec)) ? 'resumed' : 'running'
  }
  const status = await statuses.get(id)
  if (status && isEnded(status.state)) await addLoneStitch(deps, spec)
  else await renewFlow(deps, spec)
  return 'resumed'
}

/** Who cancels a job that is being published is told that it is too late: its mark must not say otherwise after a wipe. */
async function haltByMark({ statuses, files }: ResumeDeps, id: string): Promise<void> {
  if ((await statuses.halt(id, 'cancelled')) !== 'too late') return
  const status = await statuses.get(id)
  if (status && !isEnded(status.state)) await files.markAnew(id)
}

/** Adds the children again that a stitch waits for or will miss. Answers whether there were any. */
async function mendChildren(deps: ResumeDeps, spec: JobSpec): Promise<boolean> {
  const { files, queues, statuses } = deps
  const stitch = entryIds.stitch(spec.id)
  // It adds the batches itself.
  if (await isAlive(deps, 'split', entryIds.split(spec.id))) return false
  const status = await statuses.get(spec.id)
  const state = await queues.stitch.getJobState(stitch)
  // A stitch that is awake and knows that the job was halted misses nothing.
  if (state === 'active' || (state !== 'waiting-children' && status?.halt)) return false
  const plan = await files.findPlan(spec.id)
  if (!plan) {
    await addSplit(deps, spec)
    return true
  }
  // A status that was lost and made anew knows nothing of what was done.
  if (status?.state === 'queued') await statuses.beginScoring(spec.id, plan, await files.committed(spec.id))
  // Of a halted job nothing is to be done any more; what its stitch waits for is struck off.
  const committed = async () =>
    status?.halt ? new Map(plan.batches.entries()) : await files.committed(spec.id)
  const mended = await addBatches(deps, spec, plan, { committed, redo: true })
  if (mended > 0) return true
  if ((await queues.stitch.getJobState(stitch)) !== 'waiting-children') return false
  if ((await deps.redis.scard(`${queues.stitch.toKey(stitch)}:dependencies`)) > 0) return false
  await wakeStitch(deps, spec, plan)
  return true
}

/** Images that a manifest names may come with a SAS each, where the manifest itself has none. */
function refuseSecret({ id, hasSecret }: JobSpec, plan: JobPlan | undefined): void {
  if (!hasSecret && !(plan && isItemsPlan(plan) && plan.hasQueries)) return
  throw new InputError(
    'secret-gone',
    `The job ${id} can't be run again: the SAS it came with was deleted at its end. Submit it anew.`,
  )
}

const ending = (id: string) =>
  new InputError('job-ending', `The end of the job ${id} is still being written down; try again in a moment.`)

/**
 * Waits for whoever ends the job right now: the state is seen before the mark is removed, and a mark that is removed
 * late would be that of the new run. The mark is looked at second: it goes before the stitch does.
 */
async function untilEnded(
  { queues, files }: ResumeDeps,
  id: string,
  { isReported, endsWithinMs }: { isReported: boolean; endsWithinMs: number },
): Promise<void> {
  const isEnding = async () =>
    (await queues.stitch.getJobState(entryIds.stitch(id))) === 'active' ||
    (isReported && (await files.openMark(id)) !== undefined)
  const until = Date.now() + endsWithinMs
  while (await isEnding()) {
    if (Date.now() >= until) throw ending(id)
    await pause(50)
  }
}

/** Takes back how a job ended, in an order that leaves it either ended or open, wherever this breaks off. */
async function forgetEnd({ files, statuses, incidents, ...deps }: ResumeDeps, spec: JobSpec): Promise<void> {
  const { id } = spec
  const plan = await files.findPlan(id)
  if (!(await removeFlow(deps, id, plan?.batches.length ?? 0))) throw ending(id)
  await files.markAnew(id)
  await statuses.forget(id)
  await incidents.forget(id)
  await files.removeReport(id)
}

const lockMs = 60_000
const unlockScript = `if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end`

/** One at a time for each job: two that add the same flow could each see half of the other's. */
async function alone(
  { redis, prefix }: ResumeDeps,
  id: string,
  work: () => Promise<Resumed>,
): Promise<Resumed> {
  const key = `${prefix}:job:${id}:resuming`
  const token = randomUUID()
  if ((await redis.set(key, token, 'PX', lockMs, 'NX')) === null) return 'running'
  try {
    return await work()
  } finally {
    await redis.eval(unlockScript, 1, key, token)
  }
}
