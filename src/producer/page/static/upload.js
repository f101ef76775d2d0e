import { ask } from './api.js'
import { pause } from './follow.js'

const smallestBlock = 1 << 20
const usualBlock = 4 << 20
const mostBlocks = 40_000
const atOnce = 3
const tries = 6

/** @typedef {{ url: string, source: string }} Place */

/** An upload that can be paused: what is on its way arrives, nothing new is sent. */
export function createGate() {
  /** @type {(() => void) | undefined} */
  let open
  /** @type {Promise<void> | undefined} */
  let closed
  return {
    isPaused: () => closed !== undefined,
    pause() {
      closed ??= new Promise((resolve) => (open = resolve))
    },
    resume() {
      open?.()
      closed = undefined
    },
    passed: async () => await closed,
  }
}

/**
 * Brings a file straight to storage, in blocks, each tried again where it fails; answers what a job calls it.
 * @param {File} file
 * @param {{ signal: AbortSignal, gate: ReturnType<typeof createGate>, onProgress: (bytes: number) => void }} options
 * @returns {Promise<string>}
 */
export async function upload(file, { signal, gate, onProgress }) {
  /** @type {Place} */
  let place = await ask('POST', '/v1/uploads', { name: file.name }, { signal })
  const { source } = place
  // A link lasts an hour: a long upload goes on by another one.
  const renew = async () => {
    place = await ask('POST', '/v1/uploads', { source }, { signal })
  }
  const blockSize = blockSizeOf(file.size)
  const blocks = Array.from({ length: Math.ceil(file.size / blockSize) }, (_, index) => index)
  const ids = blocks.map((index) => btoa(String(index).padStart(8, '0')))
  /** @type {Map<number, number>} */
  const sent = new Map()
  const report = () => onProgress([...sent.values()].reduce((sum, bytes) => sum + bytes, 0))
  const left = [...blocks]
  const failing = new AbortController()
  const stop = AbortSignal.any([signal, failing.signal])

  const carry = async () => {
    for (let index = left.shift(); index !== undefined; index = left.shift()) {
      await gate.passed()
      stop.throwIfAborted()
      const part = file.slice(index * blockSize, (index + 1) * blockSize)
      const at = index
      const note = (/** @type {number} */ bytes) => {
        sent.set(at, bytes)
        report()
      }
      const query = `comp=block&blockid=${encodeURIComponent(ids[index] ?? '')}`
      await again(
        () => put(withQuery(place.url, query), part, { signal: stop, onProgress: note }),
        renew,
        stop,
      )
      note(part.size)
    }
  }
  try {
    await Promise.all(Array.from({ length: atOnce }, carry))
  } catch (error) {
    failing.abort()
    throw error
  }
  const list = `<?xml version="1.0" encoding="utf-8"?><BlockList>${ids.map((id) => `<Latest>${id}</Latest>`).join('')}</BlockList>`
  const headers = { 'x-ms-blob-content-type': file.type || 'application/octet-stream' }
  const whole = () => put(withQuery(place.url, 'comp=blocklist'), new Blob([list]), { signal, headers })
  await again(whole, renew, signal)
  return source
}

/**
 * A small file has some blocks as well: they go side by side, and one that fails costs little.
 * @param {number} bytes of the file
 */
const blockSizeOf = (bytes) =>
  Math.max(smallestBlock, Math.min(usualBlock, Math.ceil(bytes / 8)), Math.ceil(bytes / mostBlocks))

/**
 * @param {string} url
 * @param {string} query
 */
const withQuery = (url, query) => `${url}${url.includes('?') ? '&' : '?'}${query}`

/**
 * @param {() => Promise<void>} work
 * @param {() => Promise<void>} renew
 * @param {AbortSignal} signal
 */
async function again(work, renew, signal) {
  for (let tried = 1; ; tried++) {
    try {
      return await work()
    } catch (error) {
      if (signal.aborted || tried === tries || !(error instanceof PutError)) throw error
      const passing =
        error.status === 0 || error.status === 408 || error.status === 429 || error.status >= 500
      if (error.status === 403) await renew()
      else if (!passing) throw error
      await pause(250 * 2 ** tried * (0.5 + Math.random()), signal)
      signal.throwIfAborted()
    }
  }
}

class PutError extends Error {
  /** @param {number} status */
  constructor(status) {
    super(
      status === 0
        ? 'Storage does not answer, or does not let this page write (CORS). Check your connection and try again.'
        : `Storage refused the upload (${status}). Try again, or upload it another way and give its URL.`,
    )
    this.status = status
  }
}

/**
 * By XMLHttpRequest, which tells how far it is; fetch does not.
 * @param {string} url
 * @param {Blob} body
 * @param {{ signal: AbortSignal, onProgress?: (bytes: number) => void, headers?: Record<string, string> }} options
 * @returns {Promise<void>}
 */
async function put(url, body, { signal, onProgress, headers = {} }) {
  await new Promise((resolve, reject) => {
    const request = new XMLHttpRequest()
    const abort = () => request.abort()
    signal.addEventListener('abort', abort)
    request.open('PUT', url)
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value)
    if (onProgress) request.upload.addEventListener('progress', ({ loaded }) => onProgress(loaded))
    request.addEventListener('loadend', () => {
      signal.removeEventListener('abort', abort)
      if (signal.aborted) reject(signal.reason)
      else if (request.status >= 200 && request.status < 300) resolve(undefined)
      else reject(new PutError(request.status))
    })
    request.send(body)
  })
}
