import type { Item, PartLine } from './item.ts'

/** What a batch's scores may have: whoever writes a part, and whoever joins them, holds it whole. */
export const maxPartBytes = 256 << 20
/** What one line of it may have: a row that a table may have, and what a model says of it. */
export const maxLineBytes = 4 << 20

const lineEnd = 0x0a

/**
 * The lines of a file of ours, one after the other, of `longest` bytes at most. `read` says what is one: a schema of zod would do, but
 * takes three times as long as reading the JSON, and a table has millions of lines. Throws where one is not as it was written.
 */
export function* linesIn<Line>(
  bytes: Buffer,
  read: (json: unknown) => Line | undefined,
  longest = Infinity,
): Generator<Line> {
  let from = 0
  for (let number = 1; from < bytes.length; number += 1) {
    const end = bytes.indexOf(lineEnd, from)
    const to = end === -1 ? bytes.length : end
    if (to - from > longest) throw new Error(`line ${number} is longer than ${longest} bytes`)
    const line = read(JSON.parse(bytes.toString('utf8', from, to)))
    if (line === undefined) throw new Error(`line ${number} is not as it was written`)
    yield line
    from = to + 1
  }
}

/** All of them. */
export const parseLines = <Line>(bytes: Buffer, read: (json: unknown) => Line | undefined): Line[] => [
  ...linesIn(bytes, read),
]

/** An item as `Item` has it; undefined for anything else. */
export function readItem(json: unknown): Item | undefined {
  if (!isObject(json) || !isKey(json['key'])) return undefined
  const { name, url, row, error } = json
  const isItem =
    isMaybeText(name) && isMaybeText(url) && isMaybeRow(row) && (error === undefined || isFault(error))
  return isItem ? (json as Item) : undefined
}

/** What became of an item, as `PartLine` has it, and nothing beside that; undefined for anything else. */
export function readPartLine(json: unknown): PartLine | undefined {
  if (!isObject(json) || typeof json['key'] !== 'string') return undefined
  const { key, value, error } = json
  // What came out of JSON holds nothing that JSON does not know.
  if (isObject(value)) return { key, value: value as Extract<PartLine, { value: object }>['value'] }
  return isFault(error) ? { key, error: { code: error.code, message: error.message } } : undefined
}

const isObject = (json: unknown): json is Record<string, unknown> =>
  typeof json === 'object' && json !== null && !Array.isArray(json)
const isMaybeText = (json: unknown) => json === undefined || typeof json === 'string'
const isKey = (json: unknown) => typeof json === 'string' && json.length > 0 && json.length <= 1_024
const isFault = (json: unknown): json is { code: string; message: string } =>
  isObject(json) && typeof json['code'] === 'string' && typeof json['message'] === 'string'

function isMaybeRow(json: unknown): boolean {
  if (json === undefined) return true
  if (!isObject(json)) return false
  for (const column in json) {
    const value = json[column]
    // 1e999 is a number in JSON, and Infinity here.
    if (typeof value === 'object' ? value !== null : value === Infinity || value === -Infinity) return false
  }
  return true
}
