import { createReadStream } from 'node:fs'
import { open } from 'node:fs/promises'
import { type Readable, Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGunzip } from 'node:zlib'
import type { TableSource } from '../../shared/items/request.ts'
import { csvFile } from './csv-file.ts'
import { ndjsonFile } from './ndjson-file.ts'
import type { TableFile, TableReading } from './table-file.ts'
import type { TableMeter } from './table-meter.ts'

/**
 * Opens a table that lies at `path`; undefined where there is nothing in it. Reads as it goes. Throws InputError `bad-table` for
 * what is no such table, `no-such-column` naming the columns that are there, and what the meter throws.
 */
export async function openTable(
  path: string,
  { format, delimiter }: Pick<TableSource, 'format' | 'delimiter'>,
  reading: TableReading,
): Promise<TableFile | undefined> {
  const bytes = metered(path, { isGzip: await isGzip(path), meter: reading.meter })
  return format === 'csv' ? await csvFile(bytes, { ...reading, delimiter }) : await ndjsonFile(bytes, reading)
}

async function isGzip(path: string): Promise<boolean> {
  await using file = await open(path)
  const { buffer, bytesRead } = await file.read(Buffer.alloc(2), 0, 2, 0)
  return bytesRead === 2 && buffer[0] === 0x1f && buffer[1] === 0x8b
}

function metered(path: string, { isGzip: packed, meter }: { isGzip: boolean; meter: TableMeter }): Readable {
  const counted = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      try {
        meter(chunk)
        done(null, chunk)
      } catch (error) {
        done(error as Error)
      }
    },
  })
  const file = createReadStream(path)
  const piped = packed ? pipeline(file, createGunzip(), counted) : pipeline(file, counted)
  // Who reads hears of what goes wrong.
  piped.catch(() => {})
  return counted
}
