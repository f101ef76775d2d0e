import { appendFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Output } from '../shared/accepted-outputs.ts'
import type { BlobStore } from '../shared/blob-store.ts'
import { InputError } from '../shared/errors.ts'
import type { ItemSink, PartLine } from '../shared/items/item.ts'
import type { ItemsReport, JobSpec } from '../shared/job.ts'
import { layout } from '../shared/layout.ts'
import { publishFile } from './publish.ts'

type ScoresJob = {
  spec: JobSpec
  items: ItemsReport
  /** Every field that a value has: the columns of CSV. */
  fields: string[]
  /** Those of them that are no word of the model's, in order, by the names they had before; where the request does not say it. */
  carried: string[] | undefined
  /** Of all parts: no honest output has many more. */
  partBytes: number
  dir: string
  output: Output
  signal: AbortSignal
}

type Value = Extract<PartLine, { value: object }>['value']

const contentTypes = { ndjson: 'application/x-ndjson', csv: 'text/csv; charset=utf-8' }
const mostLabels = 10_000
const longestLabel = 200
/** What a model says, in order. */
const told = ['label', 'score', 'top', 'count', 'boxes', 'vector', 'model']

/**
 * Scores as one file: a line for each item that did not fail. Of an image the first field is its key; a table's rows and
 * a video's frames say themselves which they are. With append `summary` one line with counts: of all, of those that failed, and of each label.
 */
export async function scoresSink(
  media: BlobStore,
  { spec, items, fields, carried = [], partBytes, dir, output, signal }: ScoresJob,
): Promise<ItemSink> {
  const {
    format = 'ndjson',
    append = 'row',
    rename = {},
    columns: asked = carried,
  } = spec.request.output.scores ?? {}
  // Workers have named all else.
  const named = (field: string) => (Object.hasOwn(rename, field) ? (rename[field] ?? field) : field)
  const path = join(dir, `output.${format}`)
  const file = await textFile(path, mostBytes(partBytes))
  const withKey = spec.request.source.images !== undefined
  const labels = new Map<string, number>()
  const columns =
    append === 'row'
      ? inOrder(fields, { first: withKey ? [named('key')] : [], next: [...asked, ...told].map(named) })
      : ['items', 'failed', 'labels']
  const write = async (value: Value) =>
    await file.put(
      format === 'csv'
        ? `${columns.map((column) => field(Object.hasOwn(value, column) ? value[column] : null)).join(',')}\n`
        : `${JSON.stringify(value)}\n`,
    )
  if (format === 'csv' && columns.length > 0) await file.put(`${columns.map(field).join(',')}\n`)

  return {
    async write(line) {
      if ('error' in line) return
      if (append === 'row')
        return await write(withKey ? { [named('key')]: line.key, ...line.value } : line.value)
      for (const each of labelsOf(line.value[named('label')], line.value[named('boxes')])) {
        const label = each.slice(0, longestLabel)
        if (labels.has(label) || labels.size < mostLabels) labels.set(label, (labels.get(label) ?? 0) + 1)
      }
    },
    async end() {
      if (append === 'summary')
        await write({ items: items.total, failed: items.failed, labels: Object.fromEntries(labels) })
      await file.end()
      const contentType = contentTypes[format]
      return await publishFile(media, {
        ...{ spec, path, output, signal, contentType, name: layout.output(spec.id, format) },
      })
    },
  }
}

/** Objects put names that are numbers first, so the order of a value's fields is not that in which they were put there. */
function inOrder(fields: string[], { first, next }: { first: string[]; next: string[] }): string[] {
  const there = new Set(fields)
  return [...new Set([...first, ...next.filter((name) => there.has(name)), ...fields])]
}

const writtenAtOnce = 1 << 20

/** In CSV a quote takes two bytes, as it does in JSON, and a value of JSON has its own besides; a line names no columns. */
const mostBytes = (partBytes: number): number => 2 * partBytes + (1 << 20)

/**
 * A file that is written in large pieces, and not held open between them: whoever fails on the way leaves nothing to be closed.
 * Throws InputError `bad-part` where it would have more than `most` bytes: one line with columns of its own makes all others longer.
 */
async function textFile(path: string, most: number) {
  await writeFile(path, '')
  let texts = ''
  let bytes = 0
  const flush = async () => {
    const piece = Buffer.from(texts)
    texts = ''
    bytes += piece.length
    if (bytes > most)
      throw new InputError(
        'bad-part',
        `The output would have more than ${most} bytes, which is twice as many as all parts have that it is made of.`,
      )
    await appendFile(path, piece)
  }
  return {
    async put(text: string): Promise<void> {
      texts += text
      if (texts.length >= writtenAtOnce) await flush()
    },
    end: flush,
  }
}

/** What a summary counts: the label of an item, or of each thing that was found in it. */
function labelsOf(label: unknown, boxes: unknown): string[] {
  if (typeof label === 'string') return [label]
  const found = Array.isArray(boxes) ? boxes : []
  return found.flatMap((box: unknown) =>
    typeof box === 'object' && box !== null && 'label' in box && typeof box.label === 'string'
      ? [box.label]
      : [],
  )
}

/** A value as CSV has it (RFC 4180); what is no plain value as JSON. */
function field(value: unknown): string {
  if (value === null || value === undefined) return ''
  if (typeof value === 'number') return Number.isFinite(value) ? String(value) : ''
  const text = typeof value === 'string' ? value : JSON.stringify(value)
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}
