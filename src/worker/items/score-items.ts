import { InputError } from '../../shared/errors.ts'
import type { BlobStore } from '../../shared/blob-store.ts'
import type { Item, PartLine } from '../../shared/items/item.ts'
import { type ItemsPlan, fileOf, groupOf, nameInResult, pacedBy } from '../../shared/items/items-plan.ts'
import { maxLineBytes, maxPartBytes, parseLines, readItem } from '../../shared/items/ndjson.ts'
import type { BatchPayload, JobSpec } from '../../shared/job.ts'
import { layout } from '../../shared/layout.ts'
import type { Logger } from '../../shared/log.ts'
import { roughSize } from '../../shared/rates.ts'
import { z } from 'zod'
import { writeSegmentFacts } from '../../shared/segment-metadata.ts'
import type { Manner } from '../engine-protocol.ts'
import type { ItemScorer } from './item-scorer.ts'
import { namedValues } from './named-values.ts'

export type ItemsDeps = {
  media: Pick<BlobStore, 'read' | 'readJson' | 'write'>
  /** One for each kind of source. */
  scorers: Record<'images' | 'table', ItemScorer>
}

export type ItemsBatch = {
  dir: string
  spec: JobSpec
  plan: ItemsPlan
  batch: BatchPayload
  manner: Manner
  log: Logger
  signal: AbortSignal
  onScoring(): void
  onItem(done: number): void
  onFetched(): void
}

const Queries = z.array(z.string().nullable())

/**
 * Scores a batch of items and commits what became of each as one part. Throws InputError `too-many-errors` where more failed in
 * it than the whole job allows.
 */
export async function scoreItems({ media, scorers }: ItemsDeps, job: ItemsBatch) {
  const { spec, plan, batch, manner } = job
  const { request, id } = spec
  const began = performance.now()
  let setUpMs = 0
  let isUnderWay = false
  const range = manner.trial ?? { first: batch.first, count: batch.count }
  const from = range.first - batch.first
  const all = await itemsOf(media, plan, batch)
  const queries = await queriesOf(media, plan, batch, all)
  const keep = async (place: number, extension: string, bytes: Buffer) => {
    const name = layout.madeImage(id, batch.index, from + place, extension)
    // Of two at once the first counts, as with the part: the sink may be at it already, and another device makes other bytes.
    await media.write(name, bytes, { ifAbsent: true })
    return name
  }
  const score = scorers[request.source.table ? 'table' : 'images']
  const { lines, device, size, ms } = await score({
    ...{
      spec,
      keep,
      dir: job.dir,
      signal: job.signal,
      onScoring() {
        // The last time before an item is scored is that of the first run; some have failed before it.
        if (!isUnderWay) setUpMs = performance.now() - began
        job.onScoring()
      },
      onItem(done: number, isScored: boolean) {
        isUnderWay ||= isScored
        job.onItem(done)
      },
      onFetched: job.onFetched,
    },
    group: groupOf(spec, plan, batch.index),
    items: all.slice(from, from + range.count),
    queries: queries.slice(from, from + range.count).map((query) => query ?? undefined),
    through: new Set((manner.through ?? []).map((frame) => frame - range.first)),
    trial: manner.trial !== undefined,
    small: manner.small ?? false,
    log: request.logLevel ? job.log.child({}, { level: request.logLevel }) : job.log,
  })
  const facts = { replaced: [], through: [], device, ms: ms ?? {} }
  if (manner.trial) return { first: true, ...facts }
  if (lines.length !== range.count) throw new Error(`${lines.length} lines of ${range.count} items`)
  const { model } = groupOf(spec, plan, batch.index)
  const { part, failed } = toPart(lines.map(namedValues(spec, nameInResult(spec, model))))
  if (failed.length > request.errorThreshold) throw tooManyFailed(failed, request.errorThreshold)
  if (failed.length > 0) job.log.info({ failed: failed.length, first: failed[0]?.key }, 'items failed')
  const uploading = performance.now()
  const first = await media.write(layout.part(id, batch.index), part, {
    ifAbsent: true,
    contentType: 'application/x-ndjson',
    metadata: writeSegmentFacts({ frames: batch.count, replaced: [], through: [] }),
  })
  return {
    ...{ first, ...facts, model: `${model.name}@${model.version}`, size },
    ...(size && {
      pacedBy: { model: pacedBy(spec, model), size: request.source.table ? size : roughSize(size) },
    }),
    ms: { fetchMs: 0, setUpMs, ...ms, uploadMs: performance.now() - uploading },
  }
}

/** The queries of a batch's items. Throws InputError `secret-gone` where some are needed that are there no more. */
async function queriesOf(
  media: ItemsDeps['media'],
  plan: ItemsPlan,
  batch: BatchPayload,
  items: Item[],
): Promise<z.infer<typeof Queries>> {
  if (!plan.hasQueries) return []
  const name = layout.itemSecretsOf(plan.jobId, plan.folder, fileOf(plan, batch.index))
  const queries = await media.readJson(name, Queries)
  if (!queries && items.some(({ signed }) => signed))
    throw new InputError(
      'secret-gone',
      `The SAS that the images of batch ${batch.index} came with are gone: submit the job anew.`,
    )
  return queries ?? []
}

async function itemsOf(media: ItemsDeps['media'], plan: ItemsPlan, batch: BatchPayload): Promise<Item[]> {
  const name = layout.itemsOf(plan.jobId, plan.folder, fileOf(plan, batch.index))
  const bytes = await media.read(name)
  if (!bytes) throw new InputError('plan-gone', `The items of batch ${batch.index} are missing (${name}).`)
  const items = parseLines(bytes, readItem)
  if (items.length === batch.count) return items
  throw new InputError('plan-gone', `${name} has ${items.length} items, the plan ${batch.count}.`)
}

function toPart(lines: PartLine[]): { part: Buffer; failed: Failed[] } {
  const texts: string[] = []
  const failed: Failed[] = []
  let length = 0
  for (const each of lines) {
    const [line, text] = lineOf(each)
    if ('error' in line) failed.push(line)
    length += Buffer.byteLength(text)
    if (length > maxPartBytes)
      throw new InputError(
        'too-much-output',
        `The scores of ${lines.length} items have more than ${maxPartBytes >> 20} MiB; ask for smaller batches (batch.items).`,
      )
    texts.push(text)
  }
  return { part: Buffer.from(texts.join('')), failed }
}

/** A line and its text. One that whoever joins the parts would not take becomes its item's failure. */
function lineOf(line: PartLine): [PartLine, string] {
  const text = `${JSON.stringify(line)}\n`
  if (Buffer.byteLength(text) <= maxLineBytes) return [line, text]
  const message = `Its result has more than ${maxLineBytes >> 20} MiB.`
  const failed = { key: line.key, error: { code: 'too-large', message } }
  return [failed, `${JSON.stringify(failed)}\n`]
}

type Failed = Extract<PartLine, { error: object }>

function tooManyFailed([first]: Failed[], allowed: number): InputError {
  const example = first ? ` One of them is ${first.key}: ${first.error.message}` : ''
  return new InputError(
    'too-many-errors',
    `More than ${allowed} items failed, which is the job's errorThreshold.${example}`,
  )
}
