import type { Problem } from './api-types.ts'

/**
 * What the API refused, or why it could not be asked. `code` is a stable word: the one that the API gave,
 * `unreachable` where nobody answered, `bad-answer` where somebody else did.
 */
export class ApiError extends Error {
  override name = 'ApiError'
  readonly code: string
  /** Of HTTP; null where nobody answered. */
  readonly status: number | null
  /** One sentence for people. */
  readonly detail: string
  /** When to come back, where the API said so. */
  readonly retryAfterSeconds?: number
  /** All that the API said. */
  readonly problem?: Problem

  constructor(
    { code, status, detail }: { code: string; status: number | null; detail: string },
    more: ErrorOptions & { retryAfterSeconds?: number; problem?: Problem } = {},
  ) {
    super(detail, more)
    this.code = code
    this.status = status
    this.detail = detail
    this.retryAfterSeconds = more.retryAfterSeconds
    this.problem = more.problem
  }
}

/** What an answer that is no good one says; `said` is its body, if that was JSON. */
export function errorOf(answer: Response, said: unknown): ApiError {
  const { status } = answer
  const retryAfterSeconds = retryAfterOf(answer)
  if (isProblem(said)) return new ApiError({ ...said, status }, { retryAfterSeconds, problem: said })
  const detail = `${new URL(answer.url).pathname} was answered with ${status} and without a reason.`
  return new ApiError({ code: 'bad-answer', status, detail }, { retryAfterSeconds })
}

export const retryAfterOf = (answer: Response): number | undefined => {
  const seconds = Number(answer.headers.get('retry-after') ?? Number.NaN)
  return Number.isFinite(seconds) && seconds >= 0 ? seconds : undefined
}

const isProblem = (said: unknown): said is Problem =>
  typeof said === 'object' && said !== null && 'code' in said && 'detail' in said
