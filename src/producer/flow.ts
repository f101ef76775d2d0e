import type { FlowProducer, Queue } from 'bullmq'
import type { Redis } from 'ioredis'
import { batchStarts } from '../shared/frame-times.ts'
import { groupOf, isItemsPlan, pacedBy } from '../shared/items/items-plan.ts'
import type { BatchPayload, JobPlan, JobSpec } from '../shared/job.ts'
import { entryIds, entryOptions } from '../shared/queues.ts'
import { traceOfBatch } from '../shared/tracing.ts'
import { firstTag } from './fair-order.ts'
import type { FairOrder } from './fair-queue.ts'

/**
 * A job's entries on the queues: the stitch is the parent, its split and its batches are the children.
 *
 *   stitch   waiting-children ──all children ended──► waiting ──► active ──► ended
 *   child    waiting, delayed or active: alive        ended: the parent has it under `processed` or `failed`
 *            gone: its hash, or its place in a list, was lost. A parent whose `dependencies` name it waits for ever,
 *            unless it is added again.
 */
export type FlowQueues = Record<'split' | 'batch' | 'stitch', Queue>
export type FlowDeps = { redis: Redis; queues: FlowQueues; order: FairOrder }
type Entries = Pick<FlowDeps, 'redis' | 'queues'>

const chunk = 500
const lively = new Set(['waiting', 'prioritized', 'delayed', 'active', 'waiting-children'])

/** `alive`: it is there, and in a list that somebody takes from; `dead`: something is left of it. */
async function standing(
  { redis, queues }: Entries,
  queue: keyof FlowQueues,
  id: string,
): Promise<'alive' | 'dead' | 'absent'> {
  const [there, state] = await Promise.all([
    redis.exists(queues[queue].toKey(id)),
    queues[queue].getJobState(id),
  ])
  if (there === 1 && lively.has(state)) return 'alive'
  return there === 1 || state !== 'unknown' ? 'dead' : 'absent'
}

export const isAlive = async (deps: Entries, queue: keyof FlowQueues, id: string): Promise<boolean> =>
  (await standing(deps, queue, id)) === 'alive'

/** Puts a job on the queues: one flow, the stitch as parent and the split as its first child. */
export async function addFlow(
  { flows, order }: { flows: FlowProducer; order: Pick<FairOrder, 'splitPriority'> },
  spec: JobSpec,
): Promise<void> {
  const options = await splitOptions(order, spec)
  await flows.add({
    name: 'stitch',
    queueName: 'stitch',
    data: jobRef(spec),
    opts: stitchOptions(spec),
    children: [{ name: 'split', queueName: 'split', data: jobRef(spec), opts: options }],
  })
}

/** Puts a job on the queues whose stitch is gone. A split that is at work goes on as the child of the new stitch. */
export async function renewFlow(deps: FlowDeps & { flows: FlowProducer }, spec: JobSpec): Promise<void> {
  await discard(deps, 'stitch', entryIds.stitch(spec.id))
  if (!(await isAlive(deps, 'split', entryIds.split(spec.id))))
    await discard(deps, 'split', entryIds.split(spec.id))
  await addFlow(deps, spec)
}

/** Adds the split again to a stitch that waits for it. */
export async function addSplit(deps: FlowDeps, spec: JobSpec): Promise<void> {
  await discard(deps, 'split', entryIds.split(spec.id))
  await deps.queues.split.add('split', jobRef(spec), {
    ...(await splitOptions(deps.order, spec)),
    parent: parentOf(deps, spec),
  })
}

/** Adds a stitch without children: it has only to write down how a job ended. */
export async function addLoneStitch(deps: FlowDeps, spec: JobSpec): Promise<void> {
  await discard(deps, 'stitch', entryIds.stitch(spec.id))
  await deps.queues.stitch.add('stitch', jobRef(spec), stitchOptions(spec))
}

/**
 * Makes the batches of a job children of its stitch, as far as they are still to be done and are not on their way.
 * Answers how many entries it mended. Safe to repeat, whatever state the flow was left in.
 *
 * BullMQ would take an id that is there already, but for one that has failed it would make the parent wait for a child
 * that never ends again: what is left of an entry that ended under an earlier parent of this id is cleared away first.
 */
export async function addBatches(
  deps: FlowDeps,
  spec: JobSpec,
  plan: JobPlan,
  { committed, redo = false, signal }: AddOptions,
): Promise<number> {
  const { redis, queues } = deps
  const stitch = queues.stitch.toKey(entryIds.stitch(spec.id))
  const [dependencies, processed, failed] = await Promise.all([
    redis.smembers(`${stitch}:dependencies`),
    redis.hkeys(`${stitch}:processed`),
    redis.hkeys(`${stitch}:failed`),
  ])
  const awaited = new Set(dependencies)
  const done = new Set(processed)
  const refused = new Set(failed)
  // Looked at after the parent was asked: a batch that is done by its word had a segment then.
  const segments = await committed()
  const firsts = batchStarts(plan.batches)
  const isDone = (index: number) => segments.get(index) === plan.batches[index]
  let starts: number[] | undefined
  let mended = 0
  for (let from = 0; from < plan.batches.length; from += chunk) {
    const entries = plan.batches.slice(from, from + chunk).map((count, i) => {
      const index = from + i
      const id = entryIds.batch(spec.id, index)
      const key = queues.batch.toKey(id)
      const trace = traceOfBatch(spec.trace, index, plan.batches.length)
      const paceModel =
        isItemsPlan(plan) && (spec.models?.length ?? 0) > 1
          ? { paceModel: pacedBy(spec, groupOf(spec, plan, index).model) }
          : {}
      const first = firsts[index] as number
      const data: BatchPayload = { jobId: spec.id, index, first, count, ...paceModel, ...trace }
      return {
        ...{ id, index, data, key, isAwaited: awaited.has(key) },
        isDone: done.has(key),
        isNeeded: !isDone(index) && !refused.has(key) && (redo || !done.has(key)),
      }
    })
    const inQuestion = entries.filter(({ isNeeded, isAwaited }) => isNeeded || isAwaited)
    const standings = await Promise.all(
      inQuestion.map(async ({ id, key, isDone }) => {
        const found = await standing(deps, 'batch', id)
        const endsNow = found === 'dead' && !isDone && (await hasEnded(redis, stitch, key))
        return endsNow ? 'ended' : found
      }),
    )
    // Whoever lost the lease must not add batches beside the one who has it now.
    signal?.throwIfAborted()
    const those = (...wanted: string[]) => inQuestion.filter((_, i) => wanted.includes(standings[i] ?? ''))
    const lost = those('absent', 'dead')
    // Alive, but no child of this stitch: it was the child of one that is gone.
    const strays = those('alive').filter(({ isAwaited }) => !isAwaited)
    await Promise.all(those('dead').map(async ({ id }) => await discard(deps, 'batch', id)))
    const missing = [...lost, ...strays]
    // One reckoning for all chunks: the second goes on where the first ends.
    if (missing.length > 0) starts ??= await deps.order.startsOf(spec, plan, isDone)
    await putOn(
      deps,
      spec,
      missing.map(({ id, index, data }) => ({ id, data, priority: starts?.[index] ?? firstTag })),
    )
    // Waited for though there is nothing to do: taking it away again is how BullMQ strikes it off.
    await removeAll(
      queues.batch,
      lost.filter(({ isNeeded }) => !isNeeded).map(({ id }) => id),
    )
    mended += lost.length + strays.length
  }
  return mended
}

type AddOptions = {
  /** Which need not be done: batch number → frames in its segment. */
  committed(): Promise<Map<number, number>>
  /** Whether those are done again that are done by the parent's word, but have no segment. */
  redo?: boolean
  signal?: AbortSignal
}

/** Whether a parent has seen a child end; asked after the child was found not alive, since all that changes at once. */
async function hasEnded(redis: Redis, parent: string, child: string): Promise<boolean> {
  const [awaited, processed, failed] = await Promise.all([
    redis.sismember(`${parent}:dependencies`, child),
    redis.hexists(`${parent}:processed`, child),
    redis.hexists(`${parent}:failed`, child),
  ])
  return awaited === 0 && processed + failed > 0
}

/** Wakes a stitch that waits for children it does not have. */
export async function wakeStitch(deps: FlowDeps, spec: JobSpec, plan: JobPlan): Promise<void> {
  const id = entryIds.batch(spec.id, 0)
  const data: BatchPayload = { jobId: spec.id, index: 0, first: 0, count: plan.batches[0] ?? 1 }
  await discard(deps, 'batch', id)
  await putOn(deps, spec, [{ id, data, priority: firstTag }])
  await removeAll(deps.queues.batch, [id])
}

/**
 * Takes the batches of a halted job off their queue, as far as nobody is at them; the last one that goes wakes the
 * stitch. Workers would drain them too, one by one. Answers how many it took.
 */
export async function dropWaiting({ redis, queues }: Entries, jobId: string): Promise<number> {
  const prefix = queues.batch.toKey('')
  const keys = await redis.smembers(`${queues.stitch.toKey(entryIds.stitch(jobId))}:dependencies`)
  const ids = keys.filter((key) => key.startsWith(prefix)).map((key) => key.slice(prefix.length))
  return await removeAll(queues.batch, ids)
}

/**
 * Takes every entry of a job that has ended off the queues, so that its id can be used anew. Answers false, and takes
 * none, while a stitcher is at it.
 */
export async function removeFlow(
  { queues }: Pick<FlowDeps, 'queues'>,
  jobId: string,
  batches: number,
): Promise<boolean> {
  // The parent first: a parent whose last child is removed would wake.
  if ((await removeAll(queues.stitch, [entryIds.stitch(jobId)])) === 0) return false
  await removeAll(queues.split, [entryIds.split(jobId)])
  const ids = Array.from({ length: batches }, (_, index) => entryIds.batch(jobId, index))
  await removeAll(queues.batch, ids)
  return true
}

/** One small script for each: removing a parent with its children would hold up Redis for seconds. */
async function removeAll(queue: Queue, ids: string[]): Promise<number> {
  let removed = 0
  for (let from = 0; from < ids.length; from += chunk) {
    const part = ids.slice(from, from + chunk)
    const done = await Promise.all(part.map(async (id) => await queue.remove(id, { removeChildren: false })))
    removed += done.filter((code) => code === 1).length
  }
  return removed
}

/** Puts batches on their queue as children of the job's stitch. Throws when the stitch is not there. */
async function putOn(
  deps: Entries,
  spec: JobSpec,
  entries: { id: string; data: BatchPayload; priority: number }[],
): Promise<void> {
  if (entries.length === 0) return
  const added = await deps.queues.batch.addBulk(
    entries.map(({ id, data, priority }) => ({
      name: 'batch',
      data,
      opts: {
        ...entryOptions('batch', { isChild: true }),
        ...(spec.request.batch.maxTries ? { attempts: spec.request.batch.maxTries } : {}),
        jobId: id,
        parent: parentOf(deps, spec),
        priority,
      },
    })),
  )
  // A missing parent is answered by a negative id, not by an error.
  const refused = added.find((entry) => !String(entry.id).startsWith(spec.id))
  if (refused) {
    throw new Error(`the stitch entry of job ${spec.id} is gone (${refused.id}); its batches can't be added`)
  }
}

/** Takes away what is left of an entry that is not alive, without a word to its parent, whatever type its key has. */
async function discard({ redis, queues }: Entries, queue: keyof FlowQueues, id: string): Promise<void> {
  const key = queues[queue].toKey(id)
  const own = ['', ':logs', ':dependencies', ':processed', ':failed', ':unsuccessful']
  await redis.del(...own.map((suffix) => `${key}${suffix}`))
  // Without its hash it has no parent any more; now out of whatever list it is in.
  await queues[queue].remove(id, { removeChildren: false })
}

const parentOf = ({ queues }: Entries, { id }: JobSpec) => ({
  id: entryIds.stitch(id),
  queue: queues.stitch.qualifiedName,
})

const jobRef = ({ id, trace }: JobSpec) => ({ jobId: id, ...(trace === undefined ? {} : { trace }) })

const stitchOptions = ({ id }: JobSpec) => ({
  ...entryOptions('stitch', { isChild: false }),
  jobId: entryIds.stitch(id),
})

const splitOptions = async (order: Pick<FairOrder, 'splitPriority'>, spec: JobSpec) => ({
  ...entryOptions('split', { isChild: true }),
  jobId: entryIds.split(spec.id),
  priority: await order.splitPriority(spec),
})
