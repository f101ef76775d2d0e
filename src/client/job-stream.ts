import { setTimeout as wait } from 'node:timers/promises'
import { EventSourceParserStream } from 'eventsource-parser/stream'
import type { Job } from './api-types.ts'
import { ApiError } from './errors.ts'

const ended = new Set<string>(['succeeded', 'failed', 'cancelled'])
export const isOver = ({ status, endedAt }: Job): boolean => ended.has(status) && endedAt !== null

/** How long in a row streams may fail to open before that is an error: a producer that is started anew takes less. */
const patienceMs = 60_000
const reopenAfterMs = 500

/**
 * A job at once and with each change, until it has ended. A stream that breaks off is opened again.
 * `open` answers the body of the API's stream of events; what it throws that is no passing trouble ends this, too.
 */
export async function* followJob(
  open: () => Promise<ReadableStream<Uint8Array>>,
  signal: AbortSignal | undefined,
): AsyncGenerator<Job, void> {
  let failingSince: number | undefined
  for (;;) {
    try {
      const body = await open()
      failingSince = undefined
      for await (const { event, data } of eventsOf(body)) {
        if (event !== 'job') continue
        const job = JSON.parse(data) as Job
        yield job
        if (isOver(job)) return
      }
    } catch (error) {
      signal?.throwIfAborted()
      failingSince ??= Date.now()
      if (!passes(error) || Date.now() - failingSince > patienceMs) throw error
    }
    signal?.throwIfAborted()
    await wait(reopenAfterMs, undefined, { signal })
  }
}

const eventsOf = (body: ReadableStream<Uint8Array>) =>
  body
    // The types of Node's streams and of the web's differ in words only.
    .pipeThrough(new TextDecoderStream() as unknown as ReadableWritablePair<string, Uint8Array>)
    .pipeThrough(new EventSourceParserStream())

function passes(error: unknown): boolean {
  if (!(error instanceof ApiError)) return true
  return error.status === null || error.status === 429 || error.status >= 500
}
