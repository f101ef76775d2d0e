import { readFile } from 'node:fs/promises'
import type { AcceptedOutputs } from '../shared/accepted-outputs.ts'
import type { BlobStore } from '../shared/blob-store.ts'
import { InputError, TransientError, tooManyErrors } from '../shared/errors.ts'
import type { ItemSink, PartLine } from '../shared/items/item.ts'
import { isItemsPlan } from '../shared/items/items-plan.ts'
import { linesIn, readPartLine } from '../shared/items/ndjson.ts'
import type { ItemsReport, JobPlan, JobSpec, Report } from '../shared/job.ts'
import type { JobStatuses } from '../shared/job-status.ts'
import type { WorkContext } from '../shared/workload.ts'
import { fetchParts } from './fetch-parts.ts'
import { imagesSink } from './images-sink.ts'
import { failedReport, reportOf, stopwatch } from './report.ts'
import { scoresSink } from './scores-sink.ts'

type FinishDeps = {
  media: BlobStore
  outputs: Pick<AcceptedOutputs, 'of'>
  statuses: Pick<JobStatuses, 'beginPublishing'>
}

type Finishing = { spec: JobSpec; plan: JobPlan; dir: string; context: WorkContext }

/** A report is read whole. */
const mostNamed = 10_000
const mostFields = 10_000

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
  const { paths, replaced, through } = await fetchParts(media, plan, dir, signal)
  const { items, fields } = await count(paths, plan, output.scores?.format ?? 'images')
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
        fields,
        carried: isItemsPlan(plan) ? plan.columns : ['frame', 'time'],
        dir,
        output: (await outputs.of(spec)) ?? { query: '' },
        signal,
      })
    : imagesSink(media, { spec, plan, signal })
  const published = await fill(sink, paths)
  clock.lap('publish')
  const warnings = [...plan.warnings, ...(replaced.length > 0 ? [damaged(replaced)] : [])]
  const report = reportOf(spec, {
    ...{ status: 'succeeded', plan, output: published, batches, ms: clock.laps },
    ...{ replaced, through, warnings },
  })
  return { ...report, items }
}

/** The lines of a part. It is in memory whole, and nothing is waited for between them: there may be millions. */
const linesOf = async (path: string): Promise<Iterable<PartLine>> =>
  linesIn(await readFile(path), readPartLine)

async function count(
  paths: string[],
  plan: JobPlan,
  format: ItemsReport['format'],
): Promise<{ items: ItemsReport; fields: string[] }> {
  const items: ItemsReport = { total: 0, failed: 0, format, failures: [] }
  const fields = new Set<string>()
  const note = (line: PartLine) => {
    // Of a video the lines are numbered through: a worker that names other frames has written no part of ours.
    if (!isItemsPlan(plan) && line.key !== String(items.total))
      throw new InputError('bad-part', `A part of job ${plan.jobId} has no line for frame ${items.total}.`)
    items.total += 1
    if ('value' in line) {
      for (const field of Object.keys(line.value)) if (fields.size < mostFields) fields.add(field)
      return
    }
    items.failed += 1
    if (items.failures.length < mostNamed) items.failures.push({ key: line.key, ...line.error })
  }
  for (const path of paths) for (const line of await linesOf(path)) note(line)
  if (items.total !== plan.frames)
    throw new Error(`the parts have ${items.total} items, the plan ${plan.frames}`)
  return { items, fields: [...fields] }
}

async function fill(sink: ItemSink, paths: string[]) {
  for (const [batch, path] of paths.entries())
    for (const line of await linesOf(path)) await sink.write(line, batch)
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
