import { z } from 'zod'
import { type BlobEvent, readEvents } from './event.ts'
import { toJson } from './to-json.ts'

/** A message of the queue: what Event Grid put there, and how often it had to wait. */
export type Message = {
  text: string
  /** Times it was given back for no fault of its own. The queue counts those as well; nobody else knows which they were. */
  waited: number
  /** None where it can't be read. */
  events: BlobEvent[] | undefined
}

/** As a message is put back that had to wait: the queue keeps nothing beside its text. */
const Waited = z.strictObject({ framefleet: z.object({ waited: z.int().min(0).max(1e9) }), text: z.string() })

export function readMessage(text: string): Message {
  const wrapped = Waited.safeParse(toJson(text))
  const original = wrapped.success ? wrapped.data.text : text
  const waited = wrapped.success ? wrapped.data.framefleet.waited : 0
  // Event Grid sends base64; others send what it holds. No JSON is base64, as it begins with a brace.
  const body = toJson(original) ?? toJson(Buffer.from(original, 'base64').toString('utf8'))
  return { text: original, waited, events: readEvents(body) }
}

/** The text to put back, with one more wait; none where it would be longer than a message may be. */
export function waitedOnce({ text, waited }: Message): string | undefined {
  const wrapped = JSON.stringify({ framefleet: { waited: waited + 1 }, text })
  return Buffer.byteLength(wrapped) < 64 << 10 ? wrapped : undefined
}
