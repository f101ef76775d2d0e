import { InputError } from '../../shared/errors.ts'

/** Counts bytes as they are once they are unpacked. Throws InputError where there are too many. */
export type TableMeter = (chunk: Uint8Array) => void

/**
 * What all files of a table may come to. Some KB of gzip may unpack to any number of bytes, and lines in which nothing is come up
 * nowhere else. Throws InputError `source-too-large` and `too-many-items`.
 */
export function createTableMeter({ bytes, lines }: { bytes: number; lines: number }): TableMeter {
  let read = 0
  const ends = { line: 0, carriage: 0 }
  return (chunk) => {
    read += chunk.length
    if (read > bytes)
      throw new InputError(
        'source-too-large',
        `The table has more than ${bytes} bytes once it is unpacked, which is the limit.`,
      )
    for (const byte of chunk) {
      if (byte === 10) ends.line += 1
      else if (byte === 13) ends.carriage += 1
    }
    // A line may end in either, or in both.
    if (Math.max(ends.line, ends.carriage) > lines)
      throw new InputError('too-many-items', `The table has more than ${lines} lines, which is the limit.`)
  }
}
