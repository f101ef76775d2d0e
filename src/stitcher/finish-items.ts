import type { AcceptedOutputs } from '../shared/accepted-outputs.ts'
import type { BlobStore } from '../shared/blob-store.ts'
import { createBreather } from '../shared/breather.ts'
import { InputError, TransientError, tooManyErrors } from '../shared/errors.ts'
import type { ItemSink } from '../shared/items/item.ts'
import { isItemsPlan } from '../shared/items/items-plan.ts'
import type { ItemsReport, JobPlan, JobSpec, Report } from '../shared/job.ts'
import type { JobStatuses } from '../shared/job-status.ts'
import { layout } from '../shared/layout.ts'
import type { WorkContext } from '../shared/workload.ts'
import { createItemCount } from './count-items.ts'
import { fetchParts } from './fetch-parts.ts'
import { imageNames } from './image-names.ts'
import { imagesSink } from './images-sink.ts'
import { checkedLines, linesOf } from './part-lines.ts'
import { failedReport, reportOf, stopwatch } from './report.ts'
import { scoresSink } from './scores-sink.ts'

type FinishDeps = {
  media: BlobStore
  outputs: Pick<AcceptedOutputs, 'of'>
  statuses: Pick<JobStatuses, 'beginPublishing'>
}

type Finishing = { spec: JobSpec; plan: JobPlan; dir: string; context: WorkContext }

/**
 * Makes the output of a job whose batches are all committed as parts: images go where the job wants them, scores become one file,
 * in the order of the batches. Of a video each frame is an item. Answers the report, also of a job of which too many items failed.
 * Holds one part at a time. Throws TransientError while a part is missing, and InputError `bad-part` for one that can't be what it
 * should be.
 */
export async function finishItems(
  { media, outputs, statuses }: FinishDeps,
  { spec, plan, dir, context }: Finishing,
): Promise<Report> {
  const { signal } = context
  const { errorThreshold, output } = spec.request
  const clock = stopwatch()
  const accepted = (await outputs.of(spec)) ?? { query: '' }
  // Not as job.json says: where workers can write, a stolen one could send images elsewhere.
  const prefix = accepted.prefix ?? layout.images(spec.id)
  const { paths, bytes, replaced, through } = await fetchParts(media, plan, dir, signal)
  const { items, fields } = await count(media, { spec, plan, paths, prefix, signal })
  clock.lap('fetch')
  const batches = { planned: plan.batches.length, failed: 0 }
  const unscored = items.failed + replaced.length
  if (unscored > errorThreshold) {
    const error = isItemsPlan(plan) ? tooMany(items, errorThreshold) : tooManyFrames(unscored, errorThreshold)
    return { ...(await failedReport(spec, plan, { status: 'failed', error }, context)), items }
  }
  // From here on a cancellation comes too late.
  const stopped = await statuses.beginPublishing(spec.id)
  if (stopped === 'cancelled') return await failedReport(spec, plan, { status: 'cancelled' }, context)
  if (stopped)
    throw new TransientError(`The job ${spec.id} can't be published now: its status is ${stopped}.`)
  const sink = output.scores
    ? await scoresSink(media, {
        spec,
        items,
        fields: [...fields],
        partBytes: bytes,
        carried: isItemsPlan(plan) ? plan.columns : ['frame', 'time'],
        dir,
        output: accepted,
        signal,
      })
    : imagesSink(media, { spec, plan, prefix, dir, signal })
  const published = await fill(sink, plan, paths)
  clock.lap('publish')
  const warnings = [...plan.warnings, ...(replaced.length > 0 ? [damaged(replaced)] : [])]
  const report = reportOf(spec, {
    ...{ status: 'succeeded', plan, output: published, batches, ms: clock.laps },
    ...{ replaced, through, warnings },
  })
  return { ...report, items }
}

type Counting = { spec: JobSpec; plan: JobPlan; paths: string[]; prefix: string; signal: AbortSignal }

/** Reads all parts once before anything is written: what they hold is then known to be what it should be. */
async function count(media: BlobStore, { spec, plan, paths, prefix, signal }: Counting) {
  const { scores } = spec.request.output
  const counted = createItemCount(scores?.format ?? 'images')
  const checked = checkedLines(media, plan)
  const breather = createBreather()
  const nameOf = scores ? undefined : imageNames(spec, plan, prefix)
  for (const [batch, path] of paths.entries()) {
    signal.throwIfAborted()
    for (const line of await checked(path, batch)) {
      const error = nameOf && 'value' in line ? nameOf(line, batch).wrong : undefined
      counted.note(error ? { key: line.key, error } : line)
      if (breather.isDue()) await breather.take()
    }
  }
  return counted
}

async function fill(sink: ItemSink, plan: JobPlan, paths: string[]) {
  const breather = createBreather()
  for (const [batch, path] of paths.entries()) {
    for (const line of await linesOf(plan, path, batch)) {
      await sink.write(line, batch)
      if (breather.isDue()) await breather.take()
    }
  }
  return await sink.end()
}

const damaged = ({ length }: number[]) =>
  `${length} frames can't be decoded and have the scores of their nearest good frame (onError passthrough)`

function tooManyFrames(count: number, allowed: number) {
  const { code, message } = tooManyErrors(count, allowed)
  return { code, message }
}

function tooMany({ failed, failures: [first] }: ItemsReport, allowed: number) {
  const example = first ? ` One of them is ${first.key}: ${first.message}` : ''
  const { code, message } = new InputError(
    'too-many-errors',
    `${failed} items failed; the job's errorThreshold allows ${allowed}.${example}`,
  )
  return { code, message }
}
