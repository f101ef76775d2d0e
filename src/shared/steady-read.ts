import { setTimeout as pause } from 'node:timers/promises'
import { TransientError } from './errors.ts'
import { redact } from './redact.ts'

/** A body from byte `at` on, and how many bytes the whole has. */
type Opened = { body: AsyncIterable<Uint8Array>; bytes: number; at?: number }

type SteadyRead = {
  /** What is read, for messages. */
  what: string
  /** Begins the body at a byte, of the same version each time. What it throws is final. */
  open(from: number, signal: AbortSignal): Promise<Opened>
  /** What it means when more comes than there should be. */
  tooLong?: () => Error
  signal?: AbortSignal
  /** A body that sends nothing for this long is given up. */
  idleMs?: number
}

/** Breaks in a row, without a byte between them, that are mended. */
const breaks = 3

/** Whoever sends a byte now and then would hold a place for ever: slower than this, over all, is given up. */
const leastBytesPerMs = 64
const headStartMs = 120_000

/**
 * Reads a body of known length whose connection may break or fall silent: goes on where it broke off. What ends early is
 * never taken for whole.
 *
 *   opening ──► reading ──whole──► done
 *      ▲           │ broken, silent or short
 *      └── pause ──┴── the fourth time in a row: TransientError
 */
export async function* readSteadily({ what, open, tooLong, signal, idleMs = 30_000 }: SteadyRead) {
  const began = performance.now()
  let done = 0
  for (let broken = 0; ;) {
    const stop = new AbortController()
    let [silent, waiting] = [false, true]
    const watchdog = setTimeout(() => {
      silent = waiting
      // Whoever reads us may take its time.
      if (silent) stop.abort(new TransientError(`${what} sent nothing for ${idleMs / 1_000} s`))
      else watchdog.refresh()
    }, idleMs)
    let of = Infinity
    const drips = () => performance.now() - began > headStartMs + of / leastBytesPerMs
    let why = ''
    try {
      const all = signal ? AbortSignal.any([signal, stop.signal]) : stop.signal
      const {
        body,
        bytes,
        at = done,
      } = await open(done, all).catch((error: unknown) => {
        throw silent ? stop.signal.reason : error
      })
      of = bytes
      // A server that can't begin in the middle sends what we have once more.
      let known = done - at
      try {
        for await (const chunk of body) {
          waiting = false
          const fresh = chunk.subarray(Math.min(known, chunk.length))
          known -= chunk.length - fresh.length
          done += fresh.length
          if (done > of || (done < of && drips())) break
          if (fresh.length > 0) {
            broken = 0
            yield fresh
          }
          waiting = true
          watchdog.refresh()
        }
      } catch (error) {
        why = silent ? `, then silent for ${idleMs / 1_000} s` : `: ${redact((error as Error).message)}`
      }
    } finally {
      clearTimeout(watchdog)
      // Also where the reader has had enough: the connection is let go.
      stop.abort()
    }
    if (done > of) throw tooLong?.() ?? new TransientError(`${what} sent more than its ${of} bytes`)
    if (done === of) return
    signal?.throwIfAborted()
    if (drips()) throw new TransientError(`${what} is too slow: ${done} of ${of} bytes came`)
    if (++broken > breaks) throw new TransientError(`${what} broke off after ${done} of ${of} bytes${why}`)
    await pause(200 * 2 ** broken, undefined, { signal }).catch(() => signal?.throwIfAborted())
  }
}
