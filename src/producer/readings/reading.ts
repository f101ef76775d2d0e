import { isUtf8 } from 'node:buffer'
import { setImmediate as breathe } from 'node:timers/promises'
import { z } from 'zod'
import { InputError } from '../../shared/errors.ts'

/** A device's clock may be ahead of ours by so much; a reading from further on is a clock that is wrong. */
const aheadMs = 5 * 60_000
/** Later than this nobody waits for a reading; a clock that was never set says 1970. */
const lateMs = 31 * 24 * 3_600_000
const mostFields = 32
const mostLineBytes = 4_096
/** Lines that are no readings are told by number, so many of them. */
export const mostErrors = 100
/** A body of more of them is none of readings. */
const mostBad = 10_000
/** Twice as many as readings of the fewest bytes make in the largest body. */
const mostLines = 200_000
/** Lines between which others are let at the event loop. */
const linesAtOnce = 1_000

const Word = z.string().min(1).max(200)
const Reading = z
  .object({ TS: z.iso.datetime({ offset: true }), Device: Word, Tag: Word, Val: z.number() })
  .catchall(z.union([z.string(), z.number(), z.boolean(), z.null()]))
  .refine((fields) => Object.keys(fields).length <= mostFields, `has more than ${mostFields} fields`)

/** `at` is its own time in ms, `line` what is kept of it: one line of NDJSON, its time in UTC. */
export type Reading = { at: number; line: string }
/** `line` counts from 1. */
export type BadLine = { line: number; message: string }

/**
 * Reads NDJSON: a reading a line, `{"TS", "Device", "Tag", "Val"}` and whatever scalars come along. What is in a line that is none is
 * told by its number, of the first of them; `refused` counts them all. Throws InputError `bad-readings` where there are too many.
 */
export async function readReadings(
  body: Buffer,
  now: number,
): Promise<{ readings: Reading[]; bad: BadLine[]; refused: number }> {
  const readings: Reading[] = []
  const bad: BadLine[] = []
  let number = 0
  let refused = 0
  for (let from = 0; from < body.length;) {
    const newline = body.indexOf(10, from)
    const to = newline === -1 ? body.length : newline
    const bytes = body.subarray(from, to)
    from = to + 1
    if (++number > mostLines) throw notReadings(`has more than ${mostLines} lines`)
    if (number % linesAtOnce === 0) await breathe()
    const read = readLine(bytes, now)
    if (typeof read !== 'string') {
      if (read) readings.push(read)
      continue
    }
    if (++refused > mostBad) throw notReadings(`has more than ${mostBad} lines that are no readings`)
    if (bad.length < mostErrors) bad.push({ line: number, message: read })
  }
  return { readings, bad, refused }
}

/** The reading, why it is none, or nothing of an empty line. */
function readLine(bytes: Buffer, now: number): Reading | string | undefined {
  if (bytes.length > mostLineBytes) return `is longer than ${mostLineBytes} bytes`
  if (!isUtf8(bytes)) return 'is not UTF-8'
  const text = bytes.toString('utf8').trim()
  if (text === '') return undefined
  // Before it is read: what the reader throws takes far longer than a line.
  if (!text.startsWith('{')) return 'is no JSON object'
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    return 'is not JSON'
  }
  const { success, data, error } = Reading.safeParse(json)
  if (!success) {
    const issue = error.issues[0]
    return [issue?.path.join('.'), issue?.message ?? 'is no reading'].filter(Boolean).join(': ')
  }
  const at = Date.parse(data.TS)
  if (at > now + aheadMs) return `TS: is ${minutes(at - now)} ahead of the clock here`
  if (at < now - lateMs) return 'TS: is more than 31 days ago'
  // One instant is one text, so that the same reading is seen to be the same.
  return { at, line: `${JSON.stringify({ ...data, TS: new Date(at).toISOString() })}\n` }
}

const notReadings = (what: string) =>
  new InputError('bad-readings', `The body ${what}: nothing of it is taken.`)
const minutes = (ms: number) => `${Math.round(ms / 60_000)} min`
