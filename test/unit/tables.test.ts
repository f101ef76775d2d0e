import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { TableSource } from '../../src/shared/items/request.ts'
import { numberedLines } from '../../src/producer/items/ndjson-file.ts'
import { openTable } from '../../src/producer/items/open-table.ts'
import { createSeenKeys } from '../../src/shared/items/seen-keys.ts'
import { readCell, timeOf } from '../../src/producer/items/table-cell.ts'
import { createTableMeter } from '../../src/producer/items/table-meter.ts'
import { createRowReader, rowColumns, wantedColumns } from '../../src/producer/items/table-row.ts'
import { tempDir } from '../support/temp-dir.ts'

const dir = tempDir()
const { signal } = new AbortController()
type Format = { format: 'csv' | 'ndjson'; delimiter?: string }

const plenty = { bytes: 1e9, lines: 1e6 }

/** What is read of a file with these bytes: its columns, and each row or what is wrong with it. */
async function read(bytes: string | Buffer, options: Format, wanted: string[], most = plenty) {
  const path = join(dir, 'table')
  writeFileSync(path, bytes)
  const file = await openTable(path, options, { name: 't', wanted, signal, meter: createTableMeter(most) })
  if (!file) return undefined
  const rows: unknown[] = []
  for await (const record of file.records)
    rows.push('bad' in record ? [record.line, record.bad] : [record.line, ...record.cells])
  return { columns: file.columns, rows }
}
const csv = { format: 'csv' } as const
const ndjson = { format: 'ndjson' } as const
const plain = 'id,x,note\n1,2.5,"a,b"\n2,3,"say ""hi"""\n'
const plainRows = [
  [2, '2.5', '1', 'a,b'],
  [3, '3', '2', 'say "hi"'],
]

test.each<[string, string | Buffer]>([
  ['as it is', plain],
  ['with the line ends of Windows', plain.replaceAll('\n', '\r\n')],
  ['with those of old Macs', plain.replaceAll('\n', '\r')],
  ['with a byte order mark', `\uFEFF${plain}`],
  ['as UTF-16', Buffer.from(`\uFEFF${plain}`, 'utf16le')],
  ['without an end to its last line', plain.trimEnd()],
  ['compressed', gzipSync(plain)],
  ['compressed in two parts', Buffer.concat([gzipSync(plain.slice(0, 20)), gzipSync(plain.slice(20))])],
])('CSV %s', async (_, bytes) => {
  expect(await read(bytes, csv, ['x', 'id', 'note'])).toEqual({
    columns: ['id', 'x', 'note'],
    rows: plainRows,
  })
})

test('what is odd about CSV is read as it is meant, and what is wrong with a row is said of that row', async () => {
  const text = 'id;x\n"two\nlines";1\n\nten"inch;2\nshort\nlong;1;2\nlast;\n'
  expect(await read(text, { ...csv, delimiter: ';' }, ['id', 'x'])).toEqual({
    columns: ['id', 'x'],
    rows: [
      [3, 'two\nlines', '1'],
      [5, 'ten"inch', '2'],
      [6, 'it has 1 cells, and the first row 2'],
      [7, 'it has 3 cells, and the first row 2'],
      [8, 'last', ''],
    ],
  })
  expect(await read('', csv, ['id'])).toBeUndefined()
  expect(await read('\n\n', csv, ['id'])).toBeUndefined()
  expect(await read('id,x\n', csv, ['id'])).toEqual({ columns: ['id', 'x'], rows: [] })
})

test('NDJSON, whose lines may lack what others have', async () => {
  const long = `{"id":"${'x'.repeat(2 << 20)}"}`
  const lines = ['{"id":"a","x":1,"y":[1]}', '', '{"id":"b"}', 'nonsense', '[1]', long, '{"id":"c","x":null}']
  const expected = {
    columns: ['id', 'x', 'y'],
    rows: [
      [1, 'a', 1, [1]],
      [3, 'b', undefined, undefined],
      [4, 'it is no JSON'],
      [5, 'it is no object'],
      [6, 'it is longer than 1048576 bytes'],
      [7, 'c', null, undefined],
    ],
  }
  const text = `\uFEFF${lines.join('\r\n')}`
  expect(await read(text, ndjson, ['id', 'x', 'y'])).toEqual(expected)
  expect(await read(gzipSync(text), ndjson, ['id', 'x', 'y'])).toEqual(expected)
  expect(await read('\n', ndjson, ['id'])).toBeUndefined()
})

test('lines in which there is nothing are no rows, but lines', async () => {
  const lines = ['', '\r', '{"id":1}', '', '\r', '{"id":2}', '', '']
  const bytes = Buffer.from(lines.join('\n'))
  expect(await read(bytes, ndjson, ['id'])).toEqual({
    columns: ['id'],
    rows: [
      [3, 1],
      [6, 2],
    ],
  })
  async function* inPieces() {
    for (let at = 0; at < bytes.length; at += 3) yield bytes.subarray(at, at + 3)
  }
  const texts: [number, string | undefined][] = []
  for await (const { line, text } of numberedLines(inPieces())) texts.push([line, text?.trim()])
  expect(texts.filter(([, text]) => text !== '')).toEqual([
    [3, '{"id":1}'],
    [6, '{"id":2}'],
  ])
})

test.each([
  ['bytes', csv, `id\n${'7\n'.repeat(5_000)}`, { bytes: 10_002, lines: 9e9 }, 'source-too-large'],
  [
    'bytes of one line',
    ndjson,
    `{"id":1}\n${' '.repeat(9_993)}`,
    { bytes: 10_001, lines: 9e9 },
    'source-too-large',
  ],
  ['lines', csv, `id\n1\n${'\n'.repeat(5_000)}2\n`, { bytes: 9e9, lines: 5_002 }, 'too-many-items'],
  ['lines', ndjson, `{"id":1}\n${'\r'.repeat(5_000)}`, { bytes: 9e9, lines: 4_999 }, 'too-many-items'],
  ['lines', ndjson, `{"id":1}\n${'\r\n'.repeat(5_000)}`, { bytes: 9e9, lines: 5_000 }, 'too-many-items'],
] as const)(
  '%s of a table are counted once they are unpacked: %#',
  async (what, format, text, most, code) => {
    const bytes = gzipSync(text)
    expect(bytes.length).toBeLessThan(500)
    await expect(read(bytes, format, ['id'], most)).rejects.toMatchObject({ name: 'InputError', code })
    const enough = what === 'lines' ? { ...most, lines: most.lines + 1 } : { ...most, bytes: most.bytes + 1 }
    expect(await read(bytes, format, ['id'], enough)).toMatchObject({ columns: ['id'] })
  },
)

const rubbish = Buffer.from(Array.from({ length: 5_000 }, (_, i) => (i * 7919 + (i >> 3)) & 0xff))
test.each<[string, string | Buffer, Format, RegExp]>([
  ['other columns', 'a,b\n1,2\n', csv, /no column id, x\. It has: a, b\.$/],
  ['another delimiter', 'id;x\n1;2\n', csv, /It has: id;x\. Is its delimiter another one\?$/],
  ['a column twice', 'id,x,id\n1,2,3\n', csv, /two columns id/],
  ['an open quote', 'id,x\n1,2\n"3,4\n5,6\n', csv, /quote is opened that is not closed/],
  ['a huge cell', `id,x\n1,${'9'.repeat(2 << 20)}\n2,3\n`, csv, /line 2: a row is longer than 1048576/],
  ['no text at all', rubbish, csv, /^The table t[:h ]/],
  ['no text at all', rubbish, ndjson, /no NDJSON: line 1/],
  ['gzip that is cut off', gzipSync(plain.repeat(5_000)).subarray(0, 200), csv, /damaged or cut off/],
  ['gzip that is damaged', damaged(gzipSync(plain)), ndjson, /damaged or cut off/],
  ['CSV where NDJSON was said', plain, ndjson, /no NDJSON: line 1: it is no JSON/],
  ['NDJSON where CSV was said', '{"id":1,"x":2}\n', csv, /no column id, x\. It has/],
  ['NDJSON of other things', '{"a":1}\n', ndjson, /no column id, x\. It has: a\./],
])('a file with %s fails with one sentence: %#', async (_, bytes, format, sentence) => {
  const failed = read(bytes, format, ['id', 'x'])
  await expect(failed).rejects.toMatchObject({ name: 'InputError', message: expect.stringMatching(sentence) })
  // Shown to people, whatever was in the file.
  expect((await failed.catch((error: Error) => error.message)) as string).not.toMatch(/\p{Cc}/u)
})

function damaged(bytes: Buffer): Buffer {
  const copy = Buffer.from(bytes)
  copy.fill(0xff, 12, 20)
  return copy
}

test.each([
  ['number', '2.5', 2.5],
  ['number', ' 1e3 ', 1_000],
  ['number', 7, 7],
  ['number', '-.5', -0.5],
  ['integer', '12', 12],
  ['boolean', 'TRUE', true],
  ['boolean', 0, false],
  ['text', 5, '5'],
  ['time', '2026-03-01 09:00', '2026-03-01 09:00'],
  [undefined, 1.5, 1.5],
  [undefined, { a: 1 }, '{"a":1}'],
  ['number', '', null],
  ['number', undefined, null],
] as const)('a %s of %j is %j', (type, raw, value) => {
  expect(readCell(raw, type)).toEqual({ value })
})

test.each([
  ['number', 'NaN'],
  ['number', '1,5'],
  ['number', '0x10'],
  ['number', 'Infinity'],
  ['number', '1e999'],
  ['integer', '1.5'],
  ['integer', '9007199254740993'],
  ['boolean', 'yes'],
  ['time', '2026-13-01'],
  ['time', 'yesterday'],
] as const)('no %s is %j', (type, raw) => {
  expect(readCell(raw, type)).toEqual({ wrong: expect.stringMatching(/^is not /) })
})

test.each([
  ['2026-03-01T09:00:00Z', '2026-03-01T09:00:00.000Z'],
  ['2026-03-01T09:00:00.1234567Z', '2026-03-01T09:00:00.123Z'],
  ['2026-03-01T09:00:00+0130', '2026-03-01T07:30:00.000Z'],
  ['2026-03-01 09:00:00', '2026-03-01T09:00:00.000Z'],
  ['2026-03-01', '2026-03-01T00:00:00.000Z'],
  [1_772_355_600, '2026-03-01T09:00:00.000Z'],
  ['1772355600000', '2026-03-01T09:00:00.000Z'],
])('the time %j is %s', (raw, iso) => {
  expect(new Date(timeOf(raw) ?? 0).toISOString()).toBe(iso)
})

test('a row says what it is called, which partition it is of, and what is wrong with it', () => {
  const table = TableSource.parse({
    ...{ prefix: 'r/', format: 'csv', key: ['TS', 'Tag'], partitionBy: ['Device'], time: 'TS' },
    features: ['Val', 'Ok'],
    columns: { Ok: 'boolean', Count: 'integer' },
  })
  const carried = ['Note', 'TS']
  const wanted = wantedColumns({ table, carried })
  expect(wanted).toEqual(['TS', 'Tag', 'Device', 'Val', 'Ok', 'Note'])
  // In the table's own order, unless another one was asked for.
  expect(rowColumns({ table, carried: undefined }, ['Ok', 'x', 'Val', 'TS'])).toEqual([
    ...['Ok', 'Val', 'TS', 'Tag', 'Device'],
  ])
  const columns = rowColumns({ table, carried }, [])
  expect(columns).toEqual(['Note', 'TS', 'Val', 'Ok'])
  const row = (cells: Record<string, string>) =>
    createRowReader(table, { wanted, columns })(wanted.map((column) => cells[column] ?? ''))
  const good = { TS: '2026-03-01T09:00:00Z', Tag: 'a|b', Device: 'd 1', Val: '1.5', Ok: 'true' }
  expect(row(good)).toEqual({
    ...{
      key: '2026-03-01T09:00:00Z|a\\|b',
      partition: ['d 1'],
      at: Date.UTC(2026, 2, 1, 9),
      wrong: undefined,
    },
    row: { Note: null, TS: '2026-03-01T09:00:00Z', Val: 1.5, Ok: true },
  })
  const wrong = (cells: Record<string, string>) => row({ ...good, ...cells })
  expect(wrong({ Val: '' })).toMatchObject({ wrong: 'Val is missing' })
  expect(wrong({ Val: 'abc' })).toMatchObject({ wrong: 'Val is not a number: "abc"' })
  expect(wrong({ Tag: '' })).toMatchObject({ key: undefined, wrong: 'Tag is missing, which is of its key' })
  expect(wrong({ Device: '' })).toMatchObject({
    partition: [undefined],
    wrong: 'Device is missing, which tells its partition',
  })
  expect(wrong({ Tag: 'x'.repeat(2_000) })).toMatchObject({
    key: undefined,
    wrong: 'its key is longer than 1000 characters',
  })
  expect(wrong({ Device: 'x'.repeat(200) })).toMatchObject({ partition: ['x'.repeat(200)], wrong: undefined })
  expect(wrong({ Device: 'x'.repeat(201) })).toMatchObject({
    partition: [undefined],
    wrong: 'Device is longer than 200 characters, which tells its partition',
  })
})

test('a column may be called anything', () => {
  const names = ['__proto__', 'constructor', '0']
  const table = TableSource.parse({ prefix: 'r/', format: 'ndjson', key: ['__proto__'], features: names })
  const readRow = createRowReader(table, { wanted: names, columns: names })
  const { key, row, wrong } = readRow([1, 2, 3])
  expect({ key, wrong, json: JSON.stringify(row) }).toEqual({
    ...{ key: '1', wrong: undefined, json: '{"0":3,"__proto__":1,"constructor":2}' },
  })
})

test('keys are known again, however many there are', () => {
  const seen = createSeenKeys()
  const keys = Array.from({ length: 20_000 }, (_, i) => `device-${i % 100}|${i}`)
  expect(keys.filter((key) => !seen.add(key))).toEqual([])
  expect(keys.filter((key) => seen.add(key))).toEqual([])
})
