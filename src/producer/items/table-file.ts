import { InputError } from '../../shared/errors.ts'
import type { TableMeter } from './table-meter.ts'

/** A row as it lies in the file: `cells` by the columns that were asked for, or why it can't be read. */
export type TableRecord = { line: number; cells: unknown[] } | { line: number; bad: string }

/** `columns`: those that are there, in their order. */
export type TableFile = { columns: string[]; records: AsyncIterable<TableRecord> }

export type TableReading = {
  /** What the file is called in messages. */
  name: string
  /** The columns that are read. */
  wanted: string[]
  /** Is given all that is read. */
  meter: TableMeter
  signal: AbortSignal
}

/** Longer rows are none: something else is wrong with the file. In bytes. */
export const longestRow = 1 << 20
export const mostColumns = 20_000

/** What went wrong with the file itself, as one sentence; other errors as they are. */
export function explainTable(error: unknown, name: string): unknown {
  if (!(error instanceof Error) || !('code' in error)) return error
  const code = String(error.code)
  if (/^Z_|^ERR_TRAILING_JUNK/.test(code))
    return badTable(name, 'it begins as gzip, but is damaged or cut off')
  const { lines } = error as { lines?: number }
  if (code === 'CSV_MAX_RECORD_SIZE')
    return badTable(
      name,
      `line ${lines}: a row is longer than ${longestRow} bytes; is there a quote that is not closed?`,
    )
  if (code === 'CSV_QUOTE_NOT_CLOSED') return badTable(name, 'a quote is opened that is not closed')
  return code.startsWith('CSV_') ? badTable(name, `line ${lines}: it can't be read as CSV`) : error
}

export const badTable = (name: string, why: string) =>
  new InputError('bad-table', `The table ${name}: ${why}.`)

export function noSuchColumn(name: string, missing: string[], there: string[]): InputError {
  const hint = there.length === 1 ? ' Is its delimiter another one?' : ''
  return new InputError(
    'no-such-column',
    `The table ${name} has no column ${shown(missing)}. It has: ${shown(there)}.${hint}`,
  )
}

/** Whatever it is, it is to be read by people. */
function shown(columns: string[], most = 20): string {
  const some = columns
    .slice(0, most)
    .map((each) => each.replaceAll(/[\p{C}]/gu, '?').slice(0, 60) || '(none)')
  return `${some.join(', ')}${columns.length > most ? ` and ${columns.length - most} more` : ''}`
}
