import { isUtf8 } from 'node:buffer'
import { setImmediate as breathe } from 'node:timers/promises'
import { z } from 'zod'

/** A device's clock may be ahead of ours by so much; a reading from further on is a clock that is wrong. */
const aheadMs = 5 * 60_000
/** Later than this nobody waits for a reading; a clock that was never set says 1970. */
const lateMs = 31 * 24 * 3_600_000
const mostFields = 32
const mostLineBytes = 4_096
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
 * Reads NDJSON: a reading a line, `{"TS", "Device", "Tag", "Val"}` and whatever scalars come along. Never throws for what
 * is in a line: that is told by its number.
 */
export async function readReadings(
  body: Buffer,
  now: number,
): Promise<{ readings: Reading[]; bad: BadLine[] }> {
  const readings: Reading[] = []
  const bad: BadLine[] = []
  let number = 0
  for (let from = 0; from < body.length;) {
    const newline = body.indexOf(10, from)
    const to = newline === -1 ? body.length : newline
    const bytes = body.subarray(from, to)
    from = to + 1
    number += 1
    if (number % linesAtOnce === 0) await breathe()
    const read = readLine(bytes, now)
    if (typeof read === 'string') bad.push({ line: number, message: read })
    else if (read) readings.push(read)
  }
  return { readings, bad }
}

/** The reading, why it is none, or nothing of an empty line. */
function readLine(bytes: Buffer, now: number): Reading | string | undefined {
  if (bytes.length > mostLineBytes) return `is longer than ${mostLineBytes} bytes`
  if (!isUtf8(bytes)) return 'is not UTF-8'
  const text = bytes.toString('utf8').trim()
  if (text === '') return undefined
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

const minutes = (ms: number) => `${Math.round(ms / 60_000)} min`
