import type { ColumnType } from '../../shared/items/request.ts'
import type { z } from 'zod'

type Scalar = string | number | boolean | null
/** A cell's value as its column's type has it, null where nothing is there, or what is wrong with it. */
export type Cell = { value: Scalar } | { wrong: string }

const numeral = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/
const none: Cell = { value: null }

/** `type` undefined: as it stands. */
export function readCell(raw: unknown, type: z.infer<typeof ColumnType> | undefined): Cell {
  if (raw === undefined || raw === null) return none
  if (type === undefined || type === 'text') return { value: type === undefined ? scalar(raw) : textOf(raw) }
  const text = textOf(raw).trim()
  if (text === '') return none
  if (type === 'time')
    return timeOf(raw) === undefined ? wrong('time', text) : { value: typeof raw === 'number' ? raw : text }
  if (type === 'boolean') {
    const known = booleans.get(text.toLowerCase())
    return known === undefined ? wrong('boolean', text) : { value: known }
  }
  const value = numeral.test(text) ? Number(text) : Number.NaN
  if (type === 'integer') return Number.isSafeInteger(value) ? { value } : wrong('integer', text)
  return Number.isFinite(value) ? { value } : wrong('number', text)
}

const booleans = new Map([
  ['true', true],
  ['1', true],
  ['false', false],
  ['0', false],
])

const scalar = (raw: unknown): Scalar =>
  ['string', 'number', 'boolean'].includes(typeof raw) ? (raw as Scalar) : JSON.stringify(raw)

/** What a cell says, as text; nothing where it is missing. */
export const textOf = (raw: unknown): string =>
  raw === undefined || raw === null ? '' : typeof raw === 'string' ? raw : JSON.stringify(raw)

const article = { time: 'a time', boolean: 'true or false', integer: 'a whole number', number: 'a number' }
const wrong = (type: keyof typeof article, text: string): Cell => ({
  wrong: `is not ${article[type]}: ${JSON.stringify(text.length > 40 ? `${text.slice(0, 40)}…` : text)}`,
})

const isoTime =
  /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?(?: ?(Z|[+-]\d\d(?::?\d\d)?))?)?$/i
/** Seconds since 1970 are smaller until the year 5138, milliseconds larger since 1973. */
const leastMs = 1e11

/**
 * When that was, in ms: ISO 8601, which is UTC where it says nothing else, or a number of seconds or milliseconds since 1970.
 */
export function timeOf(raw: unknown): number | undefined {
  const text = textOf(raw).trim()
  if (numeral.test(text)) {
    const value = Number(text)
    return Number.isFinite(value) ? (Math.abs(value) < leastMs ? value * 1_000 : value) : undefined
  }
  const [, day, minute = '00:00', second = '00', part = '', zone = 'Z'] = isoTime.exec(text) ?? []
  if (day === undefined) return undefined
  const offset = /^z$/i.test(zone) ? 'Z' : `${zone.slice(0, 3)}:${zone.slice(3).replace(':', '') || '00'}`
  const at = Date.parse(`${day}T${minute}:${second}.${part.padEnd(3, '0').slice(0, 3)}${offset}`)
  return Number.isNaN(at) ? undefined : at
}
