import { CancelledError, InputError, LostError, ResourceError, TransientError } from './errors.ts'

export type ErrorClass = 'input' | 'transient' | 'lost' | 'resource' | 'cancelled' | 'unknown'

const transientStatus = new Set([408, 425, 429, 500, 502, 503, 504])
const transientCodes = new Set([
  'ECONNRESET',
  'ECONNREFUSED',
  'ETIMEDOUT',
  'EPIPE',
  'EAI_AGAIN',
  'ENOTFOUND',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'UND_ERR_SOCKET',
  'UND_ERR_CONNECT_TIMEOUT',
  'UND_ERR_HEADERS_TIMEOUT',
  'UND_ERR_BODY_TIMEOUT',
  'REQUEST_SEND_ERROR',
  'PARSE_ERROR',
  'NR_CLOSED',
  'CONNECTION_BROKEN',
])
const resourceCodes = new Set(['ENOSPC', 'ENOMEM', 'EMFILE', 'ENFILE', 'EDQUOT'])
const resourceWords =
  /no space left on device|out of memory|failed to allocate|bad_alloc|CUDA (?:error|failure)|CUDNN|cannot allocate memory/i

/** What ioredis says of commands that it could not deliver. */
const redisAway = /Stream isn't writeable|Command timed out|Connection is closed|max retries per request/i

/**
 * What kind of failure this is, and so what happens to the work: the one place that decides what is retried.
 * `unknown` is retried like `transient`: the attempts of the queue cap it.
 */
export function classify(error: unknown): ErrorClass {
  for (const link of causes(error)) {
    if (link instanceof InputError || link.name === 'InputError') return 'input'
    if (link instanceof CancelledError || link.name === 'CancelledError') return 'cancelled'
    if (link instanceof LostError || link.name === 'LostError') return 'lost'
    if (link instanceof ResourceError || link.name === 'ResourceError') return 'resource'
    if (link instanceof TransientError || link.name === 'TransientError') return 'transient'
    const { code, statusCode } = link as { code?: unknown; statusCode?: unknown }
    if (typeof code === 'string' && resourceCodes.has(code)) return 'resource'
    if (resourceWords.test(link.message)) return 'resource'
    if (redisAway.test(link.message)) return 'transient'
    if (typeof statusCode === 'number' && transientStatus.has(statusCode)) return 'transient'
    if (typeof code === 'string' && transientCodes.has(code)) return 'transient'
  }
  return 'unknown'
}

function* causes(error: unknown): Generator<Error> {
  let link = error
  for (let depth = 0; link instanceof Error && depth < 8; depth++) {
    yield link
    link = link.cause
  }
}
