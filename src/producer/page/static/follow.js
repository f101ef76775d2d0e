import { ApiError, send } from './api.js'

/** @typedef {import('./api.js').Job} Job */
/** An event and what it tells: a job as it is now, or all that are to be shown. @typedef {['job', Job] | ['jobs', { jobs: Job[] }]} Told */

/** Where nobody hears a heartbeat for so long, there is nobody: one comes every fifteen seconds. */
const longestSilenceMs = 40_000

/**
 * Follows server-sent events until told to stop, and comes again where they end. `EventSource` can't send a token. Live is what
 * has told something: an answer alone may come from somebody who knows nothing yet. A page that nobody sees lets go: browsers have
 * six connections for all pages of a host.
 * @param {string} path
 * @param {(...told: Told) => void} on
 * @param {{ signal: AbortSignal, onState: (isLive: boolean, error?: Error) => void, again?: () => boolean }} options
 */
export async function follow(path, on, { signal, onState, again = () => true }) {
  for (let failed = 0; !signal.aborted && again();) {
    await untilSeen(signal)
    if (signal.aborted) return
    let isLive = false
    try {
      await listen(path, signal, (...told) => {
        if (!isLive) onState(true)
        isLive = true
        failed = 0
        on(...told)
      })
      if (again()) onState(false)
    } catch (error) {
      if (signal.aborted) return
      onState(false, error instanceof ApiError ? error : undefined)
      if (isFinal(error)) return
      failed++
    }
    if (again() && !document.hidden) await pause(Math.min(10_000, 500 * 2 ** failed), signal)
  }
}

/** What is no other tomorrow. @param {unknown} error */
export const isFinal = (error) => error instanceof ApiError && [400, 401, 403, 404].includes(error.status)

/**
 * One answer, to its end; or until nobody sees it any more.
 * @param {string} path
 * @param {AbortSignal} signal
 * @param {(...told: Told) => void} on
 */
async function listen(path, signal, on) {
  const stop = new AbortController()
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let silence
  const heard = () => {
    clearTimeout(silence)
    silence = setTimeout(
      () => stop.abort(new ApiError('framefleet has said nothing for a while. Check your connection.', 0)),
      longestSilenceMs,
    )
  }
  const onSeen = () => document.hidden && stop.abort()
  document.addEventListener('visibilitychange', onSeen)
  heard()
  try {
    const answer = await send('GET', path, { signal: AbortSignal.any([signal, stop.signal]) })
    await read(/** @type {ReadableStream<Uint8Array>} */ (answer.body), heard, on)
  } catch (error) {
    if (!stop.signal.aborted) throw error
    if (stop.signal.reason instanceof ApiError) throw stop.signal.reason
  } finally {
    clearTimeout(silence)
    document.removeEventListener('visibilitychange', onSeen)
  }
}

/**
 * @param {ReadableStream<Uint8Array>} body
 * @param {() => void} heard
 * @param {(...told: Told) => void} on
 */
async function read(body, heard, on) {
  const decoder = new TextDecoder()
  const reader = body.getReader()
  let text = ''
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return
      heard()
      text += decoder.decode(value, { stream: true })
      const parts = text.split('\n\n')
      text = parts.pop() ?? ''
      for (const part of parts) {
        const event = /^event: (.*)$/m.exec(part)?.[1]
        const data = /^data: (.*)$/m.exec(part)?.[1]
        if (event && data) on(.../** @type {Told} */ ([event, JSON.parse(data)]))
      }
    }
  } finally {
    await reader.cancel().catch(() => {})
  }
}

/**
 * Ends early, without complaint, where the signal is given.
 * @param {number} ms
 * @param {AbortSignal} signal
 * @returns {Promise<void>}
 */
export async function pause(ms, signal) {
  await new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', end)
      resolve(undefined)
    }
    const timer = setTimeout(end, ms)
    signal.addEventListener('abort', end)
    if (signal.aborted) end()
  })
}

/**
 * At once where somebody sees the page, or where the signal is given.
 * @param {AbortSignal} signal
 * @returns {Promise<void>}
 */
export async function untilSeen(signal) {
  if (!document.hidden || signal.aborted) return
  await new Promise((resolve) => {
    const look = () => {
      if (document.hidden && !signal.aborted) return
      document.removeEventListener('visibilitychange', look)
      signal.removeEventListener('abort', look)
      resolve(undefined)
    }
    document.addEventListener('visibilitychange', look)
    signal.addEventListener('abort', look)
  })
}
