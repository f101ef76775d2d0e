import {
  CancelledError,
  InputError,
  LostError,
  PoisonError,
  ResourceError,
  TransientError,
} from './errors.ts'

/**
 * What becomes of an entry that failed, by the class of its failure: how often it may fail that way, and what is
 * different the next time. One table for all queues.
 *
 *   input      the request, the media or the model is at fault: said to the user
 *   cancelled  nobody waits for it any more
 *   lost       its worker went away: back to the front of the queue, no attempt spent
 *   transient  the world is at fault for a moment: later, as the other side asks or with growing pauses
 *   resource   memory, disk or the engine gave out: alone, in an engine of its own, one frame at a time
 *   poison     the model fails on its frames: alone as well
 *   unknown    like transient, but not for as long
 *
 * What is left after `resource`, `poison` or `unknown` failures is halved until the bad frames are alone.
 */
export const tries = {
  input: 1,
  cancelled: 1,
  lost: Infinity,
  transient: 12,
  resource: 2,
  poison: 2,
  unknown: 3,
} as const
export type ErrorClass = keyof typeof tries
export const errorClasses = Object.keys(tries) as [ErrorClass, ...ErrorClass[]]

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
  // A disk that is full empties, and another machine has room: no batch is to blame for it.
  'ENOSPC',
  'EDQUOT',
  'EMFILE',
  'ENFILE',
])
const resourceCodes = new Set(['ENOMEM'])
const resourceWords =
  /out of memory|failed to allocate|bad_alloc|CUDA (?:error|failure)|CUDNN|cannot allocate memory/i

const diskFull = /no space left on device/i

/** What ioredis says of commands that it could not deliver, and Redis of those it can't take for now. */
const redisAway =
  /Stream isn't writeable|Command timed out|Connection is closed|max retries per request|OOM command not allowed|^(?:LOADING|READONLY|BUSY|MISCONF) /i

/**
 * What kind of failure this is, and so what happens to the work: the one place that decides what is retried.
 * `unknown` is retried like `transient`: the attempts of the queue cap it.
 */
export function classify(error: unknown): ErrorClass {
  for (const link of causes(error)) {
    if (link instanceof InputError || link.name === 'InputError') return 'input'
    if (link instanceof CancelledError || link.name === 'CancelledError') return 'cancelled'
    if (link instanceof LostError || link.name === 'LostError') return 'lost'
    if (link instanceof PoisonError || link.name === 'PoisonError') return 'poison'
    if (link instanceof ResourceError || link.name === 'ResourceError') return 'resource'
    if (link instanceof TransientError || link.name === 'TransientError') return 'transient'
    const { code, statusCode } = link as { code?: unknown; statusCode?: unknown }
    if (typeof code === 'string' && resourceCodes.has(code)) return 'resource'
    if (resourceWords.test(link.message)) return 'resource'
    if (redisAway.test(link.message) || diskFull.test(link.message)) return 'transient'
    if (typeof statusCode === 'number' && transientStatus.has(statusCode)) return 'transient'
    if (typeof code === 'string' && transientCodes.has(code)) return 'transient'
  }
  return 'unknown'
}

/** The classes that the work itself may be to blame for. */
export const suspect: ReadonlySet<ErrorClass> = new Set(['resource', 'poison', 'unknown'])

/**
 * Whether an entry that failed is not to be tried again. One that is halved (`isolates`) gets one more try after that, and
 * is done with as soon as its bad frames are known.
 */
export function isLast(
  error: Error,
  kind: ErrorClass,
  failures: Partial<Record<ErrorClass, number>>,
  isolates: boolean,
): boolean {
  if (error instanceof PoisonError && error.frames.length > 0) return true
  const halved = isolates && suspect.has(kind)
  return (failures[kind] ?? 1) >= tries[kind] + (halved ? 1 : 0)
}

/** Milliseconds the other side asked to be left alone, wherever in the chain of causes it was said. */
export function retryAfterOf(error: unknown): number | undefined {
  for (const link of causes(error)) {
    const { retryAfterMs } = link as { retryAfterMs?: unknown }
    if (typeof retryAfterMs === 'number' && Number.isFinite(retryAfterMs)) return retryAfterMs
  }
  return undefined
}

function* causes(error: unknown): Generator<Error> {
  let link = error
  for (let depth = 0; link instanceof Error && depth < 8; depth++) {
    yield link
    link = link.cause
  }
}
