import { createHash } from 'node:crypto'
import { type JWTPayload, type JWTVerifyGetKey, errors, jwtVerify } from 'jose'
import { type ApiRole, rolesOf } from './api-role.ts'

export type Caller = { client: string; roles: ReadonlySet<ApiRole> }

/** The token is not taken; the message says why in one sentence. */
export class TokenRefused extends Error {
  override name = 'TokenRefused'
}

/** Signatures by a key that only the issuer has: with HS256 the key that checks would sign as well. */
const algorithms = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512']

const clockToleranceSeconds = 60

/**
 * Reads access tokens of one issuer for one audience, both to the letter. Roles come from the `roles` claim: those that
 * users and applications were assigned; `scp` says what a user lets an application do, and is no role.
 * Throws TokenRefused, or IssuerAway where the keys can't be had.
 */
export function createTokenReader(
  { issuer, audience }: { issuer: string; audience: string },
  keys: JWTVerifyGetKey,
) {
  const options = { issuer, audience, algorithms, clockTolerance: clockToleranceSeconds }
  return async (token: string): Promise<Caller> => {
    try {
      const { payload } = await jwtVerify(token, keys, { ...options, requiredClaims: ['exp', 'nbf'] })
      // An ID token tells an application who its user is, and may well have our audience; it opens nothing.
      if (!isForAnApplication(payload))
        throw new TokenRefused('The token is no access token: it names no application.')
      return { client: clientOf(payload), roles: rolesOf(rolesClaim(payload)) }
    } catch (error) {
      const sentence = refusal(error, { issuer, audience })
      throw sentence === undefined ? error : new TokenRefused(sentence, { cause: error })
    }
  }
}

export const looksLikeJwt = (token: string) => /^[\w-]+\.[\w-]+\.[\w-]*$/.test(token)

/** Which application has the token to call us by: as Entra's v2 and v1 say it, and RFC 9068. */
const isForAnApplication = (claims: JWTPayload) =>
  ['azp', 'appid', 'client_id'].some((claim) => typeof claims[claim] === 'string')

const rolesClaim = ({ roles }: JWTPayload): string[] =>
  Array.isArray(roles) ? roles.filter((role) => typeof role === 'string') : []

/** The object in the directory: of a user, or of an application that calls for itself. */
function clientOf(claims: JWTPayload): string {
  const { tid, oid } = claims
  const isGuid = (value: unknown) => typeof value === 'string' && /^[\da-f-]{36}$/i.test(value)
  if (isGuid(tid) && isGuid(oid)) return `${String(tid)}.${String(oid)}`.toLowerCase()
  const who = [claims.iss, oid ?? claims['azp'] ?? claims['appid'] ?? claims.sub]
  return createHash('sha256').update(JSON.stringify(who)).digest('hex').slice(0, 16)
}

/** Undefined for what is not the token's fault. No sentence repeats what the token says of itself. */
function refusal(
  error: unknown,
  { issuer, audience }: { issuer: string; audience: string },
): string | undefined {
  if (error instanceof errors.JWTExpired) return 'The token has expired; get a new one.'
  if (error instanceof errors.JWTClaimValidationFailed) {
    const { claim, reason } = error
    if (reason === 'missing') return `The token has no ${claim}.`
    if (claim === 'aud') return `The token is not for this API; its audience must be ${audience}.`
    if (claim === 'iss') return `The token is of another issuer than ${issuer}.`
    if (claim === 'nbf') return 'The token is not valid yet; see that the clocks agree.'
    return `The token has a ${claim} that is not taken.`
  }
  if (error instanceof errors.JOSEAlgNotAllowed)
    return `The token must be signed by one of ${algorithms.join(', ')}.`
  if (error instanceof errors.JWKSNoMatchingKey || error instanceof errors.JWKSMultipleMatchingKeys) {
    return 'The token is signed by a key that its issuer does not publish.'
  }
  if (error instanceof errors.JWSSignatureVerificationFailed)
    return "The token's signature is not its issuer's."
  if (error instanceof errors.JOSEError) return 'The token can not be read as a JWT.'
  return undefined
}
