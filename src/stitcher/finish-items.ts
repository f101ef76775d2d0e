import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import pMap from 'p-map'
import type { AcceptedOutputs } from '../shared/accepted-outputs.ts'
import type { BlobStore } from '../shared/blob-store.ts'
import { InputError, TransientError } from '../shared/errors.ts'
import { type ItemSink, PartLine } from '../shared/items/item.ts'
import type { ItemsPlan } from '../shared/items/items-plan.ts'
import { parseLines } from '../shared/items/ndjson.ts'
import type { ItemsReport, JobSpec, Report } from '../shared/job.ts'
import type { JobStatuses } from '../shared/job-status.ts'
import { layout } from '../shared/layout.ts'
import { framesOfSegment } from '../shared/segment-metadata.ts'
import type { WorkContext } from '../shared/workload.ts'
import { imagesSink } from './images-sink.ts'
import { failedReport, reportOf, stopwatch } from './report.ts'
import { scoresSink } from './scores-sink.ts'

type FinishDeps = {
  media: BlobStore
  outputs: Pick<AcceptedOutputs, 'of'>
  statuses: Pick<JobStatuses, 'beginPublishing'>
}

type Finishing = { spec: JobSpec; plan: ItemsPlan; dir: string; context: WorkContext }

/** A report is read whole. */
const mostNamed = 10_000
const mostFields = 10_000

/**
 * Makes the output of a job of items whose batches are all committed: images go where the job wants them, scores become one file,
 * in the order of the batches. Answers the report, also of a job of which too many items failed. Holds one part at a time. Throws
 * TransientError while a part is missing.
 */
export async function finishItems(
  { media, outputs, statuses }: FinishDeps,
  { spec, plan, dir, context }: Finishing,
): Promise<Report> {
  const { signal } = context
  const { errorThreshold, output } = spec.request
  const clock = stopwatch()
  const paths = await fetchParts(media, plan, dir, signal)
  const { items, fields } = await count(paths, plan, output.scores?.format ?? 'images')
  clock.lap('fetch')
  const batches = { planned: plan.batches.length, failed: 0 }
  if (items.failed > errorThreshold) {
    const error = tooMany(items, errorThreshold)
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
        dir,
        output: (await outputs.of(spec)) ?? { query: '' },
        signal,
      })
    : imagesSink(media, { spec, signal })
  const published = await fill(sink, paths)
  clock.lap('publish')
  const report = reportOf(spec, { status: 'succeeded', plan, output: published, batches, ms: clock.laps })
  return { ...report, items }
}

/** As files, in order; every batch must have its part, whole. */
async function fetchParts(
  media: BlobStore,
  { jobId, batches }: ItemsPlan,
  dir: string,
  signal: AbortSignal,
): Promise<string[]> {
  const there = new Map<string, number>()
  for await (const { name, metadata } of media.list(layout.parts(jobId)))
    there.set(name, framesOfSegment(metadata))
  const missing = batches.findIndex((size, index) => there.get(layout.part(jobId, index)) !== size)
  // Its batch may have been lost: it is put on the queue again while this waits for the next attempt.
  if (missing >= 0)
    throw new TransientError(
      `part ${missing} of job ${jobId} is missing or does not have ${batches[missing]} items`,
    )
  return await pMap(
    batches,
    async (_, index) => {
      const path = join(dir, `part-${index}.ndjson`)
      await media.download(layout.part(jobId, index), path, { signal })
      return path
    },
    { concurrency: 8, signal },
  )
}

async function* linesOf(paths: string[]): AsyncGenerator<PartLine> {
  for (const path of paths) yield* parseLines(await readFile(path), PartLine)
}

async function count(
  paths: string[],
  plan: ItemsPlan,
  format: ItemsReport['format'],
): Promise<{ items: ItemsReport; fields: string[] }> {
  const items: ItemsReport = { total: 0, failed: 0, format, failures: [] }
  const fields = new Set<string>()
  for await (const line of linesOf(paths)) {
    items.total += 1
    if ('value' in line) {
      for (const field of Object.keys(line.value)) if (fields.size < mostFields) fields.add(field)
      continue
    }
    items.failed += 1
    if (items.failures.length < mostNamed) items.failures.push({ key: line.key, ...line.error })
  }
  if (items.total !== plan.frames)
    throw new Error(`the parts have ${items.total} items, the plan ${plan.frames}`)
  return { items, fields: [...fields] }
}

async function fill(sink: ItemSink, paths: string[]) {
  for await (const line of linesOf(paths)) await sink.write(line)
  return await sink.end()
}

function tooMany({ failed, failures: [first] }: ItemsReport, allowed: number) {
  const example = first ? ` One of them is ${first.key}: ${first.message}` : ''
  const { code, message } = new InputError(
    'too-many-errors',
    `${failed} items failed; the job's errorThreshold allows ${allowed}.${example}`,
  )
  return { code, message }
}
