import { expect, test } from 'vitest'
import { Item, PartLine } from '../../src/shared/items/item.ts'
import { linesIn, maxLineBytes, parseLines, readItem, readPartLine } from '../../src/shared/items/ndjson.ts'

const error = { code: 'bad-row', message: 'Its x is no number.' }
const json = [
  ...['null', '1', '"text"', '[]', '{}', '{"key":1}', '{"key":""}', '{"key":"a"}', '{"key":["a"]}'],
  ...[
    '{"key":"a","name":"b.png"}',
    '{"key":"a","name":1}',
    '{"key":"a","url":null}',
    '{"key":"a","url":"u"}',
  ],
  ...[
    '{"key":"a","row":null}',
    '{"key":"a","row":[1]}',
    '{"key":"a","row":{}}',
    '{"key":"a","row":{"x":{}}}',
  ],
  ...['{"key":"a","row":{"x":1,"y":"b","z":true,"w":null}}', '{"key":"a","row":{"x":1e999}}'],
  ...['{"key":"a","row":{"x":[1]}}', `{"key":"${'k'.repeat(1_025)}"}`, '{"key":"a","error":"no"}'],
  ...[JSON.stringify({ key: 'a', error }), '{"key":"a","error":{"code":"b"}}', '{"key":"a","error":null}'],
  ...[
    '{"key":"a","value":{}}',
    '{"key":"a","value":[]}',
    '{"key":"a","value":null}',
    '{"key":"a","value":1}',
  ],
  ...['{"key":"","value":{"score":1}}', '{"key":1,"value":{}}', '{"value":{}}'],
  ...['{"key":"a","value":{"deep":{"list":[1,null,{"x":"y"}]}},"more":1}'],
  ...[
    '{"key":"a","error":{"code":"b","message":1}}',
    '{"key":"a","error":{"code":"b","message":"c","more":1}}',
  ],
]

test.each(json)('what is read by hand is what its schema lets through: %s', (text) => {
  const given: unknown = JSON.parse(text)
  expect(readItem(given) !== undefined).toBe(Item.safeParse(given).success)
  const part = PartLine.safeParse(given)
  expect(readPartLine(given)).toEqual(part.success ? part.data : undefined)
})

test('a column that is called like what objects have stays a column', () => {
  const [line] = parseLines(
    Buffer.from('{"key":"a","value":{"__proto__":1,"constructor":2}}\n'),
    readPartLine,
  )
  expect(JSON.stringify(line)).toBe('{"key":"a","value":{"__proto__":1,"constructor":2}}')
})

test('a line that is none is named', () => {
  const read = (text: string) => parseLines(Buffer.from(text), readItem)
  expect(read('{"key":"a"}\n{"key":"b"}\n')).toEqual([{ key: 'a' }, { key: 'b' }])
  expect(read('{"key":"a"}')).toEqual([{ key: 'a' }])
  expect(() => read('{"key":"a"}\n{"row":{}}\n')).toThrow('line 2 is not as it was written')
  expect(() => read('{"key":"a"}\n{"key":')).toThrow(SyntaxError)
})

test('what has too many lines, or one too long, is not read to its end', () => {
  // Held as text, and as a list of lines, it would be more than a process may have.
  const empty = Buffer.alloc(256 << 20, '\n')
  expect(() => parseLines(empty, readPartLine)).toThrow(SyntaxError)
  const nested = Buffer.alloc(maxLineBytes + 1, '[')
  expect(() => [...linesIn(nested, readPartLine, maxLineBytes)]).toThrow(/line 1 is longer/)
})
