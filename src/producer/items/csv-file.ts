import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { type Info, parse } from 'csv-parse'
import {
  type TableFile,
  type TableReading,
  type TableRecord,
  badTable,
  explainTable,
  longestRow,
  mostColumns,
  noSuchColumn,
} from './table-file.ts'

type Line = { line: number; cells: string[] }

/** CSV whose first row names the columns. Any ends of lines; quotes within a cell that is not quoted stand for themselves. */
export async function csvFile(
  bytes: Readable,
  { name, wanted, delimiter, signal }: TableReading & { delimiter?: string | undefined },
): Promise<TableFile | undefined> {
  const parser = parse({
    ...{ bom: true, relax_quotes: true, relax_column_count: true, skip_empty_lines: true },
    ...{ delimiter: delimiter ?? ',', record_delimiter: ['\r\n', '\n', '\r'], max_record_size: longestRow },
    // Of a row that takes several lines it is the last.
    on_record: ((cells: string[], { lines: line }: Info): Line => ({ line, cells })) as never,
  })
  // Who reads hears of what goes wrong before.
  pipeline(bytes, parser, { signal }).catch(() => {})
  const lines: AsyncIterator<Line> = parser[Symbol.asyncIterator]()
  const next = async () =>
    await lines.next().catch((error: unknown) => {
      signal.throwIfAborted()
      throw explainTable(error, name)
    })
  try {
    const header = await next()
    if (header.done) return undefined
    const columns = header.value.cells.map((cell) => cell.trim())
    if (columns.length > mostColumns) throw badTable(name, `it has more than ${mostColumns} columns`)
    const { placeOf, again } = placesOf(columns)
    const missing = wanted.filter((column) => !placeOf.has(column))
    if (missing.length > 0) throw noSuchColumn(name, missing, columns)
    const places = wanted.map((column) => placeOf.get(column) ?? -1)
    const twice = wanted.find((column) => again.has(column))
    if (twice !== undefined) throw badTable(name, `it has two columns ${twice}`)
    return { columns, records: records(columns.length, places) }
  } catch (error) {
    parser.destroy()
    throw error
  }

  async function* records(width: number, places: number[]): AsyncGenerator<TableRecord> {
    try {
      for (let read = await next(); !read.done; read = await next()) {
        const { line, cells } = read.value
        if (cells.length === width) yield { line, cells: places.map((place) => cells[place]) }
        else yield { line, bad: `it has ${cells.length} cells, and the first row ${width}` }
      }
    } finally {
      parser.destroy()
    }
  }
}

/** Where each column is, and which are there more than once. */
function placesOf(columns: string[]) {
  const placeOf = new Map<string, number>()
  const again = new Set<string>()
  for (const [place, column] of columns.entries()) {
    if (placeOf.has(column)) again.add(column)
    else placeOf.set(column, place)
  }
  return { placeOf, again }
}
