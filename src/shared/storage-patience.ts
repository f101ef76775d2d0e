import { RestError, type RequestPolicyFactory } from '@azure/storage-blob'
import { TransientError } from './errors.ts'

/**
 * What the SDK leaves open about a storage account that is in trouble: a request without an answer ends, which it would
 * wait for for ever, and how long a busy account asked to be left alone is kept for the queues. Its own few retries lie
 * below this.
 */
export function storagePatience(answerWithinMs: number): RequestPolicyFactory {
  return {
    create: (next) => ({
      async sendRequest(request) {
        // As long as nothing is answered; a body may take its time. What is sent takes time itself: 100 KB a second.
        request.timeout = answerWithinMs + Number(request.headers.get('content-length') ?? 0) / 100
        try {
          return await next.sendRequest(request)
        } catch (error) {
          throw request.abortSignal?.aborted ? error : translate(error, request.timeout)
        }
      },
    }),
  }
}

function translate(error: unknown, timeoutMs: number): unknown {
  if ((error as Error).name === 'AbortError') {
    return new TransientError(`storage did not answer within ${Math.round(timeoutMs / 1_000)} s`)
  }
  if (!(error instanceof RestError) || ![429, 503].includes(error.statusCode ?? 0)) return error
  const asked = retryAfter((name) => error.response?.headers.get(name))
  const wish = asked === undefined ? '' : `, and wants ${Math.round(asked / 1_000)} s of peace`
  return new TransientError(`storage is busy (${error.statusCode})${wish}`, {
    cause: error,
    retryAfterMs: asked,
  })
}

/** Milliseconds that an answer asks its client to stay away. A date is counted from now. */
export function retryAfter(header: (name: string) => string | null | undefined): number | undefined {
  for (const name of ['x-ms-retry-after-ms', 'retry-after-ms']) {
    const ms = Number(header(name) ?? Number.NaN)
    if (ms >= 0) return ms
  }
  const text = header('retry-after')
  if (!text) return undefined
  const ms = /^\d+$/.test(text.trim()) ? Number(text) * 1_000 : Date.parse(text) - Date.now()
  return Number.isNaN(ms) ? undefined : Math.max(0, ms)
}
