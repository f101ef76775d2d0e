import { setTimeout as wait } from 'node:timers/promises'
import { ApiError, retryAfterOf } from './errors.ts'

export type Patience = {
  /** Tries of one call, the first included. */
  tries?: number
  /** A wait that is asked for and longer than this is not waited: the error says how long it would be. */
  longestWaitMs?: number
  /** How long an answer may take to begin. */
  answerWithinMs?: number
}

const firstWaitMs = 250

/**
 * `fetch` for calls that may be made twice: those that only ask, that say what is to be, or that carry an Idempotency-Key, and all
 * where they are `harmless`, are tried again where nobody answers, or 502 to 504; any call is where it was refused for now (429), since nothing was done about it. Waits as
 * long as the API asks. Throws ApiError `unreachable`, or the reason of the request's signal.
 */
export function steadyFetch(
  { tries = 5, longestWaitMs = 30_000, answerWithinMs = 90_000 }: Patience = {},
  harmless = false,
): (request: Request) => Promise<Response> {
  return async (request) => {
    for (let left = tries - 1; ; left--) {
      const found = await tryOnce(left > 0 ? request.clone() : request, answerWithinMs)
      request.signal.throwIfAborted()
      const waitMs = waitOf(found, tries - left)
      const again = left > 0 && waitMs <= longestWaitMs && mayAgain(request, found, harmless)
      if (!again && found instanceof Response) return found
      if (!again) throw unreachable(request, found as Error)
      if (found instanceof Response) await found.body?.cancel()
      await wait(waitMs, undefined, { signal: request.signal })
    }
  }
}

async function tryOnce(request: Request, answerWithinMs: number): Promise<Response | Error> {
  const late = new AbortController()
  const timer = setTimeout(
    () => late.abort(new Error(`no answer within ${answerWithinMs / 1_000} s`)),
    answerWithinMs,
  )
  try {
    return await fetch(request, { signal: AbortSignal.any([request.signal, late.signal]) })
  } catch (error) {
    return error as Error
  } finally {
    // The body may take as long as it likes.
    clearTimeout(timer)
  }
}

function mayAgain({ method, headers }: Request, found: Response | Error, harmless: boolean): boolean {
  if (found instanceof Response && found.status === 429) return true
  if (found instanceof Response && ![502, 503, 504].includes(found.status)) return false
  return harmless || ['GET', 'HEAD', 'PUT'].includes(method) || headers.has('idempotency-key')
}

/** Twice as long each time, and never all callers at once. */
function waitOf(found: Response | Error, attempt: number): number {
  const asked = found instanceof Response ? retryAfterOf(found) : undefined
  return asked === undefined ? firstWaitMs * 2 ** (attempt - 1) * (0.5 + Math.random()) : asked * 1_000
}

function unreachable({ url }: Request, cause: Error): ApiError {
  const why = (cause.cause as Error | undefined)?.message ?? cause.message
  const detail = `The API at ${new URL(url).origin} can't be reached: ${why}.`
  return new ApiError({ code: 'unreachable', status: null, detail }, { cause })
}
