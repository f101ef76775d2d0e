import { InputError } from '../../shared/errors.ts'
import type { ItemSource, SourceItem } from '../../shared/items/item.ts'
import type { TableSource } from '../../shared/items/request.ts'
import { createBreather } from '../../shared/breather.ts'
import type { SourceDeps } from './open-source.ts'
import { createPartitions } from './partitions.ts'
import { createSeenKeys } from '../../shared/items/seen-keys.ts'
import { openTable } from './open-table.ts'
import { type TableJob, tableFiles } from './table-files.ts'
import { createTableMeter } from './table-meter.ts'
import { type TableRow, createRowReader, rowColumns, wantedColumns } from './table-row.ts'

/** Rows that are read, whether they become items or not. */
const mostRead = 50_000_000
/** A row may have several, and nothing may be in one. */
const mostLines = 4 * mostRead

/**
 * The rows of a table as items, in the order of the files' names and of their lines. A row that can't be scored is an item that
 * says why. Left out are rows whose key was there already, and those that are outside the window.
 */
export function tableSource(deps: SourceDeps, job: TableJob): ItemSource {
  const { table, spec } = job
  const { modelBy, output } = spec.request
  const carried = output.scores?.columns
  const wanted = wantedColumns({ table, carried })
  const partitions = table.partitionBy
    ? createPartitions(table, {
        ...{ pattern: modelBy?.pattern, models: deps.models, copies: spec.models?.length },
      })
    : undefined
  const meter = createTableMeter({ bytes: deps.maxSourceBytes, lines: mostLines })
  const breather = createBreather()
  let columns: string[] | undefined
  const inWindow = windowOf(table)
  const seen = createSeenKeys()
  const counts = { read: 0, files: 0, again: 0, outside: 0 }

  async function* items(signal: AbortSignal): AsyncGenerator<SourceItem> {
    let readRow: ReturnType<typeof createRowReader> | undefined
    for await (const { name, path } of tableFiles(deps, job)) {
      const file = await openTable(path, table, { name, wanted, meter, signal })
      if (!file) continue
      counts.files += 1
      columns ??= rowColumns({ table, carried }, file.columns)
      readRow ??= createRowReader(table, { wanted, columns })
      for await (const record of file.records) {
        if (breather.isDue()) await breather.take()
        if (++counts.read > mostRead) throw tooManyRows()
        if ('bad' in record) yield await failing({ name, ...record, why: record.bad })
        else yield* itemOf(readRow(record.cells), { name, line: record.line })
      }
    }
  }

  async function* itemOf(read: TableRow, { name, line }: { name: string; line: number }) {
    const { key, row, partition, at } = read
    if (inWindow && at !== undefined && !inWindow(at)) {
      counts.outside += 1
      return
    }
    const wrong = read.wrong ?? (inWindow && at === undefined ? `${table.time} is missing` : undefined)
    if (key !== undefined && !seen.add(key)) {
      counts.again += 1
      return
    }
    if (key === undefined || wrong !== undefined)
      yield await failing({ name, line, key, partition, why: wrong ?? '' })
    else {
      const place = await partitions?.of(partition)
      if (place?.error) yield { key, group: place.group, error: place.error }
      else yield { key, row, group: place?.group ?? 0 }
    }
  }

  async function failing(it: Failing): Promise<SourceItem> {
    const { name, line, why, key = `line ${line} of ${name}`.slice(0, 1_000), partition } = it
    const place = await partitions?.of(partition ?? (table.partitionBy ?? []).map(() => undefined))
    const message = `${name.slice(-200)}, line ${line}: ${why}.`
    return { key, group: place?.group ?? 0, error: { code: 'bad-row', message } }
  }

  return {
    items,
    groups: () => partitions?.groups() ?? [],
    // NDJSON has nothing else to tell them by than its objects.
    columns: () => (output.scores?.format === 'csv' && !carried ? columns : undefined),
    mayBeEmpty: true,
    warnings: () => [
      ...(counts.read > 0 ? [] : [`The table has no rows${counts.files > 0 ? '' : ': nothing is there'}.`]),
      ...(counts.again > 0 ? [`${rows(counts.again, 'whose key was there already')} left out.`] : []),
      ...(counts.outside > 0 ? [`${rows(counts.outside, 'outside the window of time')} left out.`] : []),
    ],
  }
}

type Failing = {
  name: string
  line: number
  why: string
  key?: string | undefined
  partition?: TableRow['partition']
}

const rows = (count: number, which: string) =>
  count === 1 ? `1 row ${which} was` : `${count} rows ${which} were`

/** Whether a time, in ms, is in the window; undefined where there is none. */
function windowOf({ from, to }: TableSource): ((at: number) => boolean) | undefined {
  if (from === undefined && to === undefined) return undefined
  const least = from === undefined ? -Infinity : Date.parse(from)
  const end = to === undefined ? Infinity : Date.parse(to)
  return (at) => at >= least && at < end
}

const tooManyRows = () =>
  new InputError('too-many-items', `The table has more than ${mostRead} rows, which is the limit.`)
