import { createReadStream } from 'node:fs'
import { open } from 'node:fs/promises'
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGunzip } from 'node:zlib'
import type { TableSource } from '../../shared/items/request.ts'
import { csvFile } from './csv-file.ts'
import { ndjsonFile } from './ndjson-file.ts'
import type { TableFile, TableReading } from './table-file.ts'

/**
 * Opens a table that lies at `path`; undefined where there is nothing in it. Reads as it goes. Throws InputError `bad-table` for
 * what is no such table, and `no-such-column` naming the columns that are there.
 */
export async function openTable(
  path: string,
  { format, delimiter }: Pick<TableSource, 'format' | 'delimiter'>,
  reading: TableReading,
): Promise<TableFile | undefined> {
  const bytes = (await isGzip(path)) ? unzipped(path) : createReadStream(path)
  return format === 'csv' ? await csvFile(bytes, { ...reading, delimiter }) : await ndjsonFile(bytes, reading)
}

async function isGzip(path: string): Promise<boolean> {
  await using file = await open(path)
  const { buffer, bytesRead } = await file.read(Buffer.alloc(2), 0, 2, 0)
  return bytesRead === 2 && buffer[0] === 0x1f && buffer[1] === 0x8b
}

function unzipped(path: string): Readable {
  const unzip = createGunzip()
  // Who reads hears of what goes wrong.
  pipeline(createReadStream(path), unzip).catch(() => {})
  return unzip
}
