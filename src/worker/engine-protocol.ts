import type { BatchPayload, BatchResult } from '../shared/job.ts'
import {
  CancelledError,
  InputError,
  LostError,
  PoisonError,
  ResourceError,
  TransientError,
} from '../shared/errors.ts'
import type { Range } from '../shared/media/frame-range.ts'

/** How a batch is to be scored. */
export type Manner = {
  /** Somebody has begun it before, and may have committed it. */
  again: boolean
  /** One frame at a time on one thread: what asks least of memory. */
  small?: boolean
  /** Frames of the video that the model must not see: they show the source's picture. */
  through?: number[]
  /** Only to see whether these frames can be scored: nothing is kept. */
  trial?: Range
}

/** What a worker and its engine, a child process, say to each other. Calls are told apart by number. */
export type ToEngine =
  | { score: BatchPayload; manner: Manner; call: number; fields: Record<string, unknown> }
  /** Whether anything can be scored here: the pass-through model on a small black frame. */
  | { check: true; call: number }
  | { abort: string; call: number }

export type FromEngine =
  | { result: BatchResult; call: number }
  | { fit: true; call: number }
  /** Said every `aliveMs`, whatever is under way. */
  | { alive: true }
  | { failed: PackedError; call: number }
  /** `scoring`: its first frames have reached the model. `decoded`: the last one has been decoded. */
  | { reached: 'scoring' | 'decoded'; call: number }

export const aliveMs = 2_000

/** An error as it travels between processes: with its class, which decides what is retried, and its causes. */
export type PackedError = {
  name: string
  message: string
  stack?: string
  code?: string
  /** The last that a program said which failed. */
  tail?: string
  retryAfterMs?: number
  cause?: PackedError
}

export function packError(error: unknown, depth = 0): PackedError {
  if (!(error instanceof Error)) return { name: 'Error', message: String(error) }
  const { name, message, stack, cause } = error
  const { code, tail, retryAfterMs } = error as { code?: unknown; tail?: unknown; retryAfterMs?: unknown }
  return {
    name,
    message,
    stack,
    code: typeof code === 'string' ? code : undefined,
    tail: typeof tail === 'string' ? tail : undefined,
    retryAfterMs: typeof retryAfterMs === 'number' ? retryAfterMs : undefined,
    cause: cause !== undefined && depth < 8 ? packError(cause, depth + 1) : undefined,
  }
}

export function unpackError({ name, message, stack, code, tail, retryAfterMs, cause }: PackedError): Error {
  const options = { retryAfterMs, ...(cause ? { cause: unpackError(cause) } : {}) }
  const error = make(name, code, message, options)
  if (stack) error.stack = stack
  return tail === undefined ? error : Object.assign(error, { tail })
}

type Options = ErrorOptions & { retryAfterMs: number | undefined }

function make(name: string, code: string | undefined, message: string, options: Options): Error {
  switch (name) {
    case 'InputError':
      return new InputError(code ?? 'input', message, options)
    case 'TransientError':
      return new TransientError(message, options)
    case 'LostError':
      return new LostError(message, options)
    case 'PoisonError':
      return new PoisonError(message, options)
    case 'ResourceError':
      return new ResourceError(message, options)
    case 'CancelledError':
      return new CancelledError(message, options)
    default:
      return Object.assign(new Error(message, options), { name, ...(code ? { code } : {}) })
  }
}
