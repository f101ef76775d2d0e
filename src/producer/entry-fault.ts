import { z } from 'zod'
import { type AnyQueueName, entryIds, jobOfEntry, queues } from '../shared/queues.ts'

/** A field of an entry's hash; of one that is too large only the beginning. */
export type RawField = string | { bytes: number; head: string } | undefined

/** The fields that BullMQ and we read of an entry. */
export const entryFields = [
  ...['name', 'data', 'opts', 'parent', 'progress', 'atm', 'ats', 'stc', 'timestamp', 'delay', 'priority'],
  'rjk',
] as const
type EntryField = (typeof entryFields)[number]

/** An entry as it lies in Redis. */
export type RawEntry = {
  /** As bytes: an id that somebody made up need not be text. */
  id: Buffer
  /** Redis' type of the key that should be the entry's hash; `none` when there is no such key. */
  type: string
  /** When a delayed entry is due, in ms. */
  dueAt?: number
  /** Which key beside it has the wrong type. */
  wrongPart?: string
  fields: Partial<Record<EntryField, RawField>>
}

export type Fault = {
  /** What is wrong, in the words of a sentence that begins with the entry. */
  why: string
  /** Nobody can work on it; otherwise somebody may be at it right now. */
  unreadable: boolean
}

const longestWaitMs = 3_600_000
/** BullMQ's own limit. */
const lastPriority = 2 ** 21

const Milliseconds = z.number().min(0).max(longestWaitMs)

/** Options as BullMQ stores them, as far as they can do harm. */
const optionsWith = (attempts: number) =>
  z.looseObject({
    attempts: z.number().int().min(0).max(attempts).optional(),
    delay: Milliseconds.optional(),
    priority: z.number().int().min(0).max(lastPriority).optional(),
    backoff: z
      .union([Milliseconds, z.looseObject({ type: z.string(), delay: Milliseconds.optional() })])
      .optional(),
    repeat: z.undefined({ error: 'is not for our entries' }).optional(),
  })
// Made once: making one takes longer than all that is done with it, and thousands of entries are looked at.
const options = Object.fromEntries(
  Object.entries(queues).map(([name, { attempts }]) => [name, optionsWith(attempts)]),
) as Record<AnyQueueName, ReturnType<typeof optionsWith>>

/** What makes an entry of a queue one that can't stay there; undefined when it is as we put it. */
export function faultOf(queue: AnyQueueName, entry: RawEntry, now: number): Fault | undefined {
  const why = unreadable(queue, entry)
  if (why !== undefined) return { why, unreadable: true }
  const odd = absurd(queue, entry, now)
  return odd === undefined ? undefined : { why: odd, unreadable: false }
}

function unreadable(queue: AnyQueueName, { type, wrongPart, fields }: RawEntry): string | undefined {
  if (type === 'none') return 'has no content'
  if (type !== 'hash') return `is a ${type} and not a hash`
  // BullMQ notes on an id of nothing that it was taken.
  if ([fields.name, fields.data, fields.opts].every((field) => field === undefined)) return 'has no content'
  if (wrongPart !== undefined) return `has ${wrongPart}`
  const large = Object.entries(fields).find(([, field]) => typeof field === 'object')
  if (large) {
    const [name, { bytes }] = large as [string, { bytes: number }]
    return `has ${name} of ${bytes} bytes`
  }
  const text = fields as Partial<Record<EntryField, string>>
  for (const name of ['data', 'opts', 'parent', 'progress'] as const) {
    const value = text[name]
    if (value === undefined && (name === 'data' || name === 'opts')) return `has no ${name}`
    if (value !== undefined && parsed(value) === undefined) return `has ${name} that is not JSON`
  }
  const opts = parsed(text.opts ?? '')?.value
  if (typeof opts !== 'object' || opts === null || Array.isArray(opts)) return 'has opts that are no object'
  const parent = parsed(text.parent ?? '{}')?.value
  if (typeof parent !== 'object' || parent === null) return 'has a parent that is no object'
  for (const name of ['atm', 'ats', 'stc'] as const) {
    if (!/^\d{1,15}$/.test(text[name] ?? '0')) return `has ${name} that is no count`
  }
  for (const name of ['timestamp', 'delay', 'priority'] as const) {
    if (!Number.isFinite(Number(text[name] ?? 0))) return `has ${name} that is no number`
  }
  const payload = queues[queue].payload.safeParse(parsed(text.data ?? '')?.value)
  return payload.success ? undefined : `has a payload that does not fit: ${oneLine(payload.error)}`
}

function absurd(queue: AnyQueueName, { id, fields, dueAt = 0 }: RawEntry, now: number): string | undefined {
  const text = fields as Partial<Record<EntryField, string>>
  if (text.name !== queue) return `has the unknown name ${text.name?.slice(0, 100) ?? '(none)'}`
  if (text.rjk !== undefined) return 'is said to repeat'
  const opts = options[queue].safeParse(parsed(text.opts ?? '{}')?.value)
  if (!opts.success) return `has options that make no sense: ${oneLine(opts.error)}`
  if (Number(text.priority ?? 0) > lastPriority) return 'has a priority that makes no sense'
  if (dueAt > now + longestWaitMs) return 'is delayed for more than an hour'
  const wanted = expectedId(queue, parsed(text.data ?? '')?.value)
  return wanted === undefined || wanted === id.toString()
    ? undefined
    : `should be called ${wanted}, by its payload`
}

/** The id that follows from a payload that fits. */
function expectedId(queue: AnyQueueName, payload: unknown): string | undefined {
  const { jobId, index, copyOf } = payload as { jobId: string; index: number; copyOf?: string }
  if (queue === 'quarantine' || queue === 'autoscale' || queue === 'schedule') return undefined
  if (queue === 'batch' && copyOf !== undefined) return entryIds.copy(jobId, index)
  return queue === 'batch' ? entryIds.batch(jobId, index) : entryIds[queue](jobId)
}

/** The job whose flow an entry is part of, going by its id. */
export const jobOf = (queue: AnyQueueName, id: Buffer) => jobOfEntry(queue, id.toString())

function parsed(text: string): { value: unknown } | undefined {
  try {
    return { value: JSON.parse(text) as unknown }
  } catch {
    return undefined
  }
}

const oneLine = (error: z.ZodError) =>
  error.issues
    .slice(0, 3)
    .map(({ path, message }) => (path.length > 0 ? `${path.join('.')}: ${message}` : message))
    .join('; ')
