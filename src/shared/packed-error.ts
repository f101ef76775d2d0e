import {
  CancelledError,
  InputError,
  LostError,
  PoisonError,
  ResourceError,
  TransientError,
} from './errors.ts'

/** An error as it travels between processes, or threads: with its class, which decides what is retried, and its causes. */
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
