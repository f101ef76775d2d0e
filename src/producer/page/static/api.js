/** @typedef {import('../../job-view.ts').JobView} Job */
/** @typedef {import('../../../shared/timeline.ts').BatchView} Batch */
/** @typedef {import('../../../shared/job.ts').Report} Report */
/** @typedef {import('../../../shared/models/manifest.ts').ModelManifest} Model */
/** @typedef {import('../../../shared/fleet.ts').FleetSettings} FleetSettings */
/** @typedef {import('../../../shared/fleet.ts').FleetView} FleetView */
/** @typedef {import('../../../shared/fleet.ts').WorkerRecord} WorkerRecord */
/** @typedef {import('../../schedules/schedule.ts').Schedule} Schedule */
/** @typedef {import('../../schedules/schedule.ts').Run} ScheduleRun */

const kept = 'framefleet-token'

export const token = () => sessionStorage.getItem(kept)

/** @param {string} value */
export const keepToken = (value) => sessionStorage.setItem(kept, value.trim())

export const forgetToken = () => sessionStorage.removeItem(kept)

/** What the API said, in its own sentence. */
export class ApiError extends Error {
  /**
   * @param {string} message
   * @param {number} status
   */
  constructor(message, status) {
    super(message)
    this.status = status
  }
}

/**
 * @param {string} method
 * @param {string} path
 * @param {{ body?: unknown, signal?: AbortSignal, headers?: Record<string, string> }} [options]
 */
async function send(method, path, { body, signal, headers = {} } = {}) {
  /** @type {Response} */
  let answer
  try {
    answer = await fetch(path, {
      method,
      // Without it a browser would ask for a password by itself.
      credentials: 'omit',
      headers: {
        authorization: `Bearer ${token() ?? ''}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ...(signal ? { signal } : {}),
    })
  } catch (error) {
    if (signal?.aborted) throw error
    throw new ApiError('framefleet does not answer. Check that it is running, and your connection.', 0)
  }
  if (answer.ok) return answer
  const said = await answer.json().catch(() => ({}))
  if (answer.status === 401) dispatchEvent(new CustomEvent('signed-out', { detail: said.detail }))
  throw new ApiError(said.detail ?? `framefleet answered ${answer.status}.`, answer.status)
}

/**
 * @template T
 * @param {string} path
 * @param {AbortSignal} [signal]
 * @returns {Promise<T>}
 */
export async function get(path, signal) {
  return await (await send('GET', path, { signal })).json()
}

/**
 * @template T
 * @param {string} method
 * @param {string} path
 * @param {unknown} [body]
 * @param {{ signal?: AbortSignal, headers?: Record<string, string> }} [options]
 * @returns {Promise<T>}
 */
export async function ask(method, path, body, options = {}) {
  return await (await send(method, path, { body, ...options })).json()
}

/**
 * A picture as a URL for an `img`, which can't send a token itself; null where there is none. To be revoked.
 * @param {string} path
 * @param {AbortSignal} signal
 */
export async function picture(path, signal) {
  const answer = await send('GET', path, { signal })
  if (answer.status === 204) return null
  const url = URL.createObjectURL(await answer.blob())
  signal.addEventListener('abort', () => URL.revokeObjectURL(url))
  return url
}

/**
 * Follows server-sent events until told to stop, and comes again where they end. `EventSource` can't send a token.
 * @param {string} path
 * @param {(event: string, data: any) => void} on
 * @param {{ signal: AbortSignal, onState: (isLive: boolean, error?: Error) => void, again?: () => boolean }} options
 */
export async function follow(path, on, { signal, onState, again = () => true }) {
  for (let failed = 0; !signal.aborted && again();) {
    try {
      const answer = await send('GET', path, { signal })
      onState(true)
      failed = 0
      await read(/** @type {ReadableStream<Uint8Array>} */ (answer.body), on)
    } catch (error) {
      if (signal.aborted || (error instanceof ApiError && [401, 403, 404].includes(error.status))) {
        if (!signal.aborted) onState(false, /** @type {Error} */ (error))
        return
      }
      onState(false)
      failed++
    }
    if (!signal.aborted && again()) await pause(Math.min(10_000, 500 * 2 ** failed), signal)
  }
}

/**
 * @param {ReadableStream<Uint8Array>} body
 * @param {(event: string, data: unknown) => void} on
 */
async function read(body, on) {
  const decoder = new TextDecoder()
  const reader = body.getReader()
  let text = ''
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return
    text += decoder.decode(value, { stream: true })
    const parts = text.split('\n\n')
    text = parts.pop() ?? ''
    for (const part of parts) {
      const event = /^event: (.*)$/m.exec(part)?.[1]
      const data = /^data: (.*)$/m.exec(part)?.[1]
      if (event && data) on(event, JSON.parse(data))
    }
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
    const timer = setTimeout(resolve, ms)
    signal.addEventListener('abort', () => {
      clearTimeout(timer)
      resolve(undefined)
    })
  })
}
