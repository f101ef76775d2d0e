import type { Row } from '../../shared/items/item.ts'
import type { TableSource } from '../../shared/items/request.ts'
import { readCell, textOf, timeOf } from './table-cell.ts'

const longestKey = 1_000
/** A value that tells a partition is held as long as the job is planned, and stands in its plan. */
const longestPartition = 200

/** Columns by what they are for; `carried`: those that go along to the result, in the order they are to have there. */
type Wish = { table: TableSource; carried: string[] | undefined }

/** What is read of a table, each column once. */
export function wantedColumns({ table, carried }: Wish): string[] {
  const { key, partitionBy = [], time, features } = table
  return [
    ...new Set([
      ...key,
      ...partitionBy,
      ...(time === undefined ? [] : [time]),
      ...features,
      ...(carried ?? []),
    ]),
  ]
}

/**
 * The columns of a row in the order they are to come out: those that were asked for, and what the model needs beside; or else
 * all that are read, as the first file has them.
 */
export function rowColumns(wish: Wish, there: string[]): string[] {
  const { table, carried } = wish
  if (carried) return [...new Set([...carried, ...table.features])]
  const places = new Map(there.map((column, place) => [column, place]))
  const place = (column: string) => places.get(column) ?? there.length
  return wantedColumns(wish).toSorted((a, b) => place(a) - place(b))
}

export type TableRow = {
  /** Undefined where it names no row. */
  key: string | undefined
  /** Values of the columns that tell a partition, undefined where one is missing, or too long. */
  partition: (string | undefined)[]
  /** When that was, in ms. */
  at: number | undefined
  row: Row
  /** Why it can't be scored. */
  wrong: string | undefined
}

/** Reads rows whose cells are those of `wanted`; `columns`: those of the result. There may be thousands, of millions of rows. */
export function createRowReader(
  { key, partitionBy = [], time, features, ...table }: TableSource,
  { wanted, columns }: { wanted: string[]; columns: string[] },
) {
  const places = new Map(wanted.map((column, place) => [column, place]))
  const placeOf = (column: string) => places.get(column) ?? -1
  const keys = key.map(placeOf)
  const partitions = partitionBy.map(placeOf)
  const timed = time === undefined ? undefined : placeOf(time)
  const isFeature = new Set(features)
  const types = new Map(Object.entries(table.columns ?? {}))
  const isCsv = table.format === 'csv'
  const typeOf = (column: string) =>
    types.get(column) ??
    (isFeature.has(column) ? 'number' : column === time ? 'time' : isCsv ? 'text' : undefined)
  const fields = columns.map((column) => ({
    ...{ column, place: placeOf(column), type: typeOf(column), isNeeded: isFeature.has(column) },
  }))

  return (cells: unknown[]): TableRow => {
    const row: [string, Row[string]][] = []
    let wrong: string | undefined
    for (const { column, place, type, isNeeded } of fields) {
      const raw = cells[place]
      // An empty cell of CSV is none.
      const cell = readCell(isCsv && raw === '' ? undefined : raw, type)
      if ('wrong' in cell) wrong ??= `${column} ${cell.wrong}`
      else if (cell.value === null && isNeeded) wrong ??= `${column} is missing`
      else row.push([column, cell.value])
    }
    const parts = keys.map((place) => textOf(cells[place]))
    const named = parts.includes('') ? undefined : keyOf(parts)
    if (named === undefined) wrong = `${key[parts.indexOf('')]} is missing, which is of its key`
    else if (named.length > longestKey) wrong = `its key is longer than ${longestKey} characters`
    const tells = partitions.map((place) => textOf(cells[place]))
    const unknown = tells.findIndex(tellsNone)
    if (unknown !== -1) {
      const what = tells[unknown] === '' ? 'is missing' : `is longer than ${longestPartition} characters`
      wrong ??= `${partitionBy[unknown]} ${what}, which tells its partition`
    }
    return {
      key: named !== undefined && named.length <= longestKey ? named : undefined,
      partition: tells.map((text) => (tellsNone(text) ? undefined : text)),
      // Assigned one by one, a column __proto__ would be lost.
      row: Object.fromEntries(row),
      ...{ wrong, at: timed === undefined ? undefined : timeOf(cells[timed]) },
    }
  }
}

const tellsNone = (text: string) => text === '' || text.length > longestPartition

/** One text for several values, which is no other values' text. */
const keyOf = (parts: string[]): string =>
  parts.length === 1 ? (parts[0] ?? '') : parts.map((part) => part.replaceAll(/[\\|]/g, '\\$&')).join('|')
