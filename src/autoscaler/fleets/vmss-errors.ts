import { TransientError } from '../../shared/errors.ts'
import { redact } from '../../shared/redact.ts'
import { FleetRefusal } from '../fleet.ts'
import { Throttled } from './vmss-arm.ts'

/** Azure has no such machine to give; it may have one in a few minutes. */
const noRoom =
  /\b(AllocationFailed|ZonalAllocationFailed|Overconstrained(Zonal)?AllocationRequest|AllocationTimeout|SkuNotAvailable)\b/
/** `OperationNotAllowed` is said of much else, so its sentence has to speak of a quota. */
const quota = /\b(QuotaExceeded|ResourceQuotaExceeded)\b|OperationNotAllowed.*quota/is

const noRoomPauseMs = 2 * 60_000
/** Somebody has to raise it, or our other machines have to go first. */
const quotaPauseMs = 5 * 60_000
const forbiddenPauseMs = 60_000

const role = 'Virtual Machine Contributor'

/** Why Azure gives no more machines, if that is what the error says; of a request, or of an operation that failed later. */
export function refusalOf(error: unknown, set: string): FleetRefusal | undefined {
  if (error instanceof FleetRefusal) return error
  if (error instanceof Throttled)
    return new FleetRefusal(error.message, { retryAfterMs: error.retryAfterMs ?? noRoomPauseMs })
  const text = wholeText(error)
  if (statusOf(error) === 403)
    return new FleetRefusal(explain(error, set).message, { retryAfterMs: forbiddenPauseMs })
  if (quota.test(text))
    return new FleetRefusal(`Azure's quota is used up: ${sentenceOf(error)}`, { retryAfterMs: quotaPauseMs })
  if (!noRoom.test(text)) return undefined
  return new FleetRefusal(`Azure has no room for more machines of ${set}: ${sentenceOf(error)}`, {
    retryAfterMs: noRoomPauseMs,
  })
}

/**
 * How many of the machines asked for the quota still has room for: Azure gives all or none. Its sentence has the numbers
 * of cores; where it has not, half is tried.
 */
export function roomLeft(error: unknown, asked: number): number {
  const text = wholeText(error)
  if (!quota.test(text)) return 0
  const read = (words: RegExp) => Number(words.exec(text)?.[1] ?? Number.NaN)
  const limit = read(/(?:Current Limit|Maximum allowed):\s*(\d+)/i)
  const used = read(/(?:Current Usage|Current in use):\s*(\d+)/i)
  const more = read(/Additional (?:Required|requested):\s*(\d+)/i)
  const fit = Math.floor(((limit - used) / more) * asked)
  return Number.isFinite(fit) ? Math.max(0, Math.min(fit, asked - 1)) : Math.floor(asked / 2)
}

/** One clear sentence for whatever went wrong on the way to Azure, and nothing secret in it. */
export function explain(error: unknown, set: string): Error {
  if (error instanceof FleetRefusal || error instanceof TransientError) return error
  const status = statusOf(error)
  if (status === 403) {
    return new Error(
      `Azure forbids it (${codeOf(error) ?? 403}): grant the autoscaler's identity the role ${role} on the scale set ${set}, on its resource group where the set is flexible, and on its subnet if that is elsewhere. ${sentenceOf(error)}`,
    )
  }
  if (status === 404) return new Error(`There is no scale set ${set}: check FRAMEFLEET_VMSS_ID.`)
  if (status === 401) return new Error(`Azure does not know who we are: ${sentenceOf(error)}`)
  if (error instanceof Error && /Credential|Authentication/.test(error.name)) {
    const why = /AADSTS\d+/.exec(error.message)
    return new Error(
      `There is no credential for Azure${why ? ` (${why[0]})` : ''}: give this machine a managed identity, or set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET.`,
    )
  }
  if (status === undefined)
    return new TransientError(`Azure, about the scale set ${set}: ${sentenceOf(error)}`)
  const sentence = `Azure's answer about the scale set ${set}: ${sentenceOf(error)}`
  const passes = status === 408 || status === 429 || status >= 500
  return passes ? new TransientError(sentence) : new Error(sentence)
}

export function statusOf(error: unknown): number | undefined {
  return isRest(error) ? error.statusCode : undefined
}

const codeOf = (error: unknown) => (isRest(error) ? error.code : undefined)

/** Several copies of the SDK's core are installed: its errors are known by their name. */
function isRest(error: unknown): error is { statusCode?: number; code?: string } {
  return error instanceof Error && error.name === 'RestError'
}

const wholeText = (error: unknown) =>
  `${codeOf(error) ?? ''} ${error instanceof Error ? error.message : String(error)}`

/** Azure's words, without links, on one line, and not for pages. */
function sentenceOf(error: unknown): string {
  const text = wholeText(error)
    .replace(/The long-running operation has failed\.?/, '')
    .replace(/[^.]*https?:\/\/\S+/g, '')
    .replace(/\s+/g, ' ')
    .trim()
  return redact(text.length > 300 ? `${text.slice(0, 300)}…` : text)
}
