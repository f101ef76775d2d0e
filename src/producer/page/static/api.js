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
   * @param {number} status 0: there was no answer
   * @param {string} [code]
   */
  constructor(message, status, code = '') {
    super(message)
    this.status = status
    this.code = code
  }
}

/**
 * @param {string} method
 * @param {string} path
 * @param {{ body?: unknown, signal?: AbortSignal, headers?: Record<string, string> }} [options]
 */
export async function send(method, path, { body, signal, headers = {} } = {}) {
  const shown = token()
  /** @type {Response} */
  let answer
  try {
    answer = await fetch(path, {
      method,
      // Without it a browser would ask for a password by itself.
      credentials: 'omit',
      headers: {
        authorization: `Bearer ${shown ?? ''}`,
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
  const error = new ApiError(said.detail ?? `framefleet answered ${answer.status}.`, answer.status, said.code)
  // Of all that were on their way with a token, the first that comes back says why; nobody is signed out of the next one.
  if (answer.status === 401 && shown === token() && !signal?.aborted)
    dispatchEvent(new CustomEvent('signed-out', { detail: error.message }))
  throw error
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
 * A picture as a URL for an `img`, which can't send a token itself; null where there is none. Kept until the signal is given.
 * @param {string} path
 * @param {AbortSignal} signal
 */
export async function picture(path, signal) {
  const answer = await send('GET', path, { signal })
  if (answer.status === 204) return null
  const url = URL.createObjectURL(await answer.blob())
  signal.addEventListener('abort', () => URL.revokeObjectURL(url), { once: true })
  return url
}
