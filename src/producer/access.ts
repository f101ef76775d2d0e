import type { Logger } from '../shared/log.ts'
import type { AuthDeps } from './auth.ts'
import { createIssuerKeys } from './issuer-keys.ts'
import { createTokenReader } from './jwt.ts'

type AccessSettings = {
  FRAMEFLEET_API_TOKENS: string[]
  FRAMEFLEET_API_ISSUER?: string
  FRAMEFLEET_API_AUDIENCE?: string
}

/** By which tokens the API may be called: static ones, those of an issuer, or both. Throws one sentence where there are none. */
export function readAccess(settings: AccessSettings, log: Logger): AuthDeps {
  const {
    FRAMEFLEET_API_TOKENS: tokens,
    FRAMEFLEET_API_ISSUER: issuer,
    FRAMEFLEET_API_AUDIENCE: audience,
  } = settings
  if (issuer !== undefined && audience !== undefined) {
    return { tokens, readToken: createTokenReader({ issuer, audience }, createIssuerKeys(issuer, log)) }
  }
  if (issuer !== undefined || audience !== undefined) {
    throw new Error(
      'settings: FRAMEFLEET_API_ISSUER and FRAMEFLEET_API_AUDIENCE go together: set both, or none',
    )
  }
  if (tokens.length === 0) {
    throw new Error(
      'settings: nobody could call the API: set FRAMEFLEET_API_TOKENS, or FRAMEFLEET_API_ISSUER and FRAMEFLEET_API_AUDIENCE',
    )
  }
  return { tokens }
}
