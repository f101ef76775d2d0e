import { type Readable, addAbortSignal } from 'node:stream'
import {
  type TableFile,
  type TableReading,
  type TableRecord,
  badTable,
  explainTable,
  longestRow,
  noSuchColumn,
} from './table-file.ts'

type Read = { line: number; row: Record<string, unknown> } | { line: number; bad: string }

/** An object a line. What a line lacks is missing in its row; the first one must know one of the columns at least. */
export async function ndjsonFile(
  bytes: Readable,
  { name, wanted, signal }: TableReading,
): Promise<TableFile | undefined> {
  addAbortSignal(signal, bytes)
  const rows = objects(bytes)
  const next = async () =>
    await rows.next().catch((error: unknown) => {
      signal.throwIfAborted()
      throw explainTable(error, name)
    })
  const first = await next()
  if (first.done) return undefined
  try {
    if ('bad' in first.value)
      throw badTable(name, `it is no NDJSON: line ${first.value.line}: ${first.value.bad}`)
    const columns = Object.keys(first.value.row)
    const { row } = first.value
    if (!wanted.some((column) => Object.hasOwn(row, column))) throw noSuchColumn(name, wanted, columns)
    return { columns, records: records(first.value) }
  } catch (error) {
    bytes.destroy()
    throw error
  }

  async function* records(begin: Read): AsyncGenerator<TableRecord> {
    try {
      for (let read: IteratorResult<Read, void> = { value: begin }; !read.done; read = await next()) {
        if ('bad' in read.value) yield read.value
        else {
          const { line, row } = read.value
          yield {
            line,
            cells: wanted.map((column) => (Object.hasOwn(row, column) ? row[column] : undefined)),
          }
        }
      }
    } finally {
      bytes.destroy()
    }
  }
}

type NumberedLine = { line: number; text: string | undefined }

async function* objects(bytes: AsyncIterable<Buffer>): AsyncGenerator<Read, void> {
  for await (const { line, text } of numberedLines(bytes)) {
    if (text === undefined) yield { line, bad: `it is longer than ${longestRow} bytes` }
    else if (text.trim() !== '') yield readLine(text, line)
  }
}

function readLine(text: string, line: number): Read {
  try {
    const row: unknown = JSON.parse(text)
    if (typeof row === 'object' && row !== null && !Array.isArray(row))
      return { line, row: row as Record<string, unknown> }
    return { line, bad: 'it is no object' }
  } catch {
    return { line, bad: 'it is no JSON' }
  }
}

const newline = 10
const carriage = 13
const bom = '\uFEFF'

/**
 * The lines of a stream in which there is something: of others there may be a billion. `text` is undefined for one that is too long,
 * of which nothing is held.
 */
export async function* numberedLines(bytes: AsyncIterable<Buffer>): AsyncGenerator<NumberedLine> {
  let number = 0
  let held: Buffer[] = []
  let length = 0
  const take = (piece: Buffer) => {
    length += piece.length
    if (length <= longestRow) held.push(piece)
    else held = []
  }
  const end = (): NumberedLine => {
    const text = length <= longestRow ? Buffer.concat(held).toString('utf8') : undefined
    ;[held, length] = [[], 0]
    return { line: number, text: number === 1 && text?.startsWith(bom) ? text.slice(1) : text }
  }
  for await (const chunk of bytes) {
    let from = 0
    for (let to = chunk.indexOf(newline); to !== -1; to = chunk.indexOf(newline, from)) {
      number += 1
      const isBlank = length === 0 && (to === from || (to === from + 1 && chunk[from] === carriage))
      if (!isBlank) {
        take(chunk.subarray(from, to))
        yield end()
      }
      from = to + 1
    }
    take(chunk.subarray(from))
  }
  number += 1
  if (length > 0) yield end()
}
