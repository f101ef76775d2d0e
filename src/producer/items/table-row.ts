import type { Row } from '../../shared/items/item.ts'
import type { TableSource } from '../../shared/items/request.ts'
import { readCell, textOf, timeOf } from './table-cell.ts'

const longestKey = 1_000

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
  const place = (column: string) => (there.includes(column) ? there.indexOf(column) : there.length)
  return wantedColumns(wish).toSorted((a, b) => place(a) - place(b))
}

export type TableRow = {
  /** Undefined where it names no row. */
  key: string | undefined
  /** Values of the columns that tell a partition, undefined where one is missing. */
  partition: (string | undefined)[]
  /** When that was, in ms. */
  at: number | undefined
  row: Row
  /** Why it can't be scored. */
  wrong: string | undefined
}

/** Reads rows whose cells are those of `wanted`; `columns`: those of the result. */
export function createRowReader(
  { key, partitionBy = [], time, features, ...table }: TableSource,
  wanted: string[],
) {
  const placeOf = (column: string) => wanted.indexOf(column)
  const keys = key.map(placeOf)
  const partitions = partitionBy.map(placeOf)
  const timed = time === undefined ? undefined : placeOf(time)
  const isFeature = new Set(features)
  const types = new Map(Object.entries(table.columns ?? {}))
  const isCsv = table.format === 'csv'
  const typeOf = (column: string) =>
    types.get(column) ??
    (isFeature.has(column) ? 'number' : column === time ? 'time' : isCsv ? 'text' : undefined)
  const present = (text: string) => (text === '' ? undefined : text)

  return (cells: unknown[], columns: string[]): TableRow => {
    const row: Row = {}
    let wrong: string | undefined
    for (const column of columns) {
      const raw = cells[placeOf(column)]
      // An empty cell of CSV is none.
      const cell = readCell(isCsv && raw === '' ? undefined : raw, typeOf(column))
      if ('wrong' in cell) wrong ??= `${column} ${cell.wrong}`
      else if (cell.value === null && isFeature.has(column)) wrong ??= `${column} is missing`
      else row[column] = cell.value
    }
    const parts = keys.map((place) => textOf(cells[place]))
    const named = parts.includes('') ? undefined : keyOf(parts)
    if (named === undefined) wrong = `${key[parts.indexOf('')]} is missing, which is of its key`
    else if (named.length > longestKey) wrong = `its key is longer than ${longestKey} characters`
    const partition = partitions.map((place) => present(textOf(cells[place])))
    const unknown = partition.indexOf(undefined)
    if (unknown !== -1) wrong ??= `${partitionBy[unknown]} is missing, which tells its partition`
    return {
      key: named !== undefined && named.length <= longestKey ? named : undefined,
      ...{ partition, row, wrong, at: timed === undefined ? undefined : timeOf(cells[timed]) },
    }
  }
}

/** One text for several values, which is no other values' text. */
const keyOf = (parts: string[]): string =>
  parts.length === 1 ? (parts[0] ?? '') : parts.map((part) => part.replaceAll(/[\\|]/g, '\\$&')).join('|')
