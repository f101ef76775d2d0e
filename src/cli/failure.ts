import { ApiError } from '../client/errors.ts'
import { redact } from '../shared/redact.ts'
import { print, tell } from './output.ts'

/** There is nothing to call, or nothing to call it with. */
export class NoEndpointError extends Error {
  override name = 'NoEndpointError'
  readonly code = 'no-system'
}

/** The command was called wrongly. */
export class UsageError extends Error {
  override name = 'UsageError'
  readonly code = 'usage'
}

/** Says why a command ended early: a sentence on standard error and, with `json`, an object on standard output. */
export function tellFailure(error: unknown, json: boolean): void {
  tell(`framefleet: ${redact((error as Error).message)}`)
  if (json) tellJson(error)
}

/** Only the object, where people have been told already. */
export function tellJson(error: unknown): void {
  const { code = 'failed', message } = error as Error & { code?: unknown }
  print({ error: { code, message: redact(message) } })
}

/** 2 where the command was called wrongly, 3 where the system could not be asked at all, 1 where it said no or something went wrong here. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof UsageError) return 2
  if (error instanceof NoEndpointError) return 3
  const notAsked =
    error instanceof ApiError &&
    (error.code === 'unreachable' || error.status === 401 || error.status === 403)
  return notAsked ? 3 : 1
}
