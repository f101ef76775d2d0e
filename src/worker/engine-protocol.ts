import type { BatchPayload, BatchResult } from '../shared/job.ts'
import { CancelledError, InputError, LostError, ResourceError, TransientError } from '../shared/errors.ts'

/** What a worker and its engine, a child process, say to each other. Calls are told apart by number. */
export type ToEngine =
  | { score: BatchPayload; again: boolean; call: number; fields: Record<string, unknown> }
  | { abort: string; call: number }

export type FromEngine =
  | { result: BatchResult; call: number }
  | { failed: PackedError; call: number }
  /** `scoring`: its first frames have reached the model. `decoded`: the last one has been decoded. */
  | { reached: 'scoring' | 'decoded'; call: number }

/** An error as it travels between processes: with its class, which decides what is retried, and its causes. */
export type PackedError = {
  name: string
  message: string
  stack?: string
  code?: string
  cause?: PackedError
}

export function packError(error: unknown, depth = 0): PackedError {
  if (!(error instanceof Error)) return { name: 'Error', message: String(error) }
  const { name, message, stack, cause } = error
  const { code } = error as { code?: unknown }
  return {
    name,
    message,
    stack,
    code: typeof code === 'string' ? code : undefined,
    cause: cause !== undefined && depth < 8 ? packError(cause, depth + 1) : undefined,
  }
}

export function unpackError({ name, message, stack, code, cause }: PackedError): Error {
  const options = cause ? { cause: unpackError(cause) } : {}
  const error = make(name, code, message, options)
  if (stack) error.stack = stack
  return error
}

function make(name: string, code: string | undefined, message: string, options: ErrorOptions): Error {
  switch (name) {
    case 'InputError':
      return new InputError(code ?? 'input', message, options)
    case 'TransientError':
      return new TransientError(message, options)
    case 'LostError':
      return new LostError(message, options)
    case 'ResourceError':
      return new ResourceError(message, options)
    case 'CancelledError':
      return new CancelledError(message, options)
    default:
      return Object.assign(new Error(message, options), { name, ...(code ? { code } : {}) })
  }
}
