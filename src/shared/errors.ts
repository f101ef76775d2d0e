/**
 * Errors say what happened, to whom, and what to do. There is one class for each answer the system gives,
 * not one for each place that throws.
 *
 *   InputError      the request, the media or the model is at fault: said to the user, never retried
 *   TransientError  the world is at fault for a moment: retried with back-off
 *   LostError       the worker is going away: the batch goes back, no attempt is spent
 *   ResourceError   memory or the engine gave out: the engine is restarted, then retried
 *   PoisonError     the model fails on what it is given: halved until the bad frames are alone, then quarantined
 *   CancelledError  the job was cancelled or has failed already: the work is dropped
 */
export class InputError extends Error {
  override name = 'InputError'
  /** A stable word for programs, such as `source-not-found`. */
  readonly code: string
  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

export class TransientError extends Error {
  override name = 'TransientError'
  /** How long the other side asked to be left alone, where it did. */
  readonly retryAfterMs?: number
  constructor(message: string, options: ErrorOptions & { retryAfterMs?: number } = {}) {
    super(message, options)
    this.retryAfterMs = options.retryAfterMs
  }
}

export class LostError extends Error {
  override name = 'LostError'
}

export class ResourceError extends Error {
  override name = 'ResourceError'
}

export class PoisonError extends Error {
  override name = 'PoisonError'
  /** The bad ones, counted from the video's first, once they are known. */
  readonly frames: number[]
  constructor(message: string, options: ErrorOptions & { frames?: number[] } = {}) {
    super(message, options)
    this.frames = options.frames ?? []
  }
}

export class CancelledError extends Error {
  override name = 'CancelledError'
}

/** More frames are damaged than the job lets be replaced. */
export const tooManyErrors = (frames: number, allowed: number) =>
  new InputError(
    'too-many-errors',
    `${frames} frames can't be scored; the job's errorThreshold allows ${allowed}.`,
  )
