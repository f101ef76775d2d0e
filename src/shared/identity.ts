import { type AccessToken, DefaultAzureCredential, type TokenCredential } from '@azure/identity'
import { TransientError } from './errors.ts'
import { redact } from './redact.ts'

/** What asking for a token may take: its tries end within it, and who asks tries again. */
const answerWithinMs = 30_000
const retryOptions = { maxRetries: 3, retryDelayInMs: 500, maxRetryDelayInMs: 2_000 }

let credential: TokenCredential | undefined

/**
 * Who this process is to Azure: one for all that ask, made when the first does, so that its tokens are shared. On a machine
 * of Azure the identity that `AZURE_CLIENT_ID` names; elsewhere who is logged in by `az login`.
 * `AZURE_TOKEN_CREDENTIALS=ManagedIdentityCredential` has nothing else tried, which a machine that just starts needs.
 */
export function azureCredential(): TokenCredential {
  credential ??= plainly(new DefaultAzureCredential({ retryOptions }))
  return credential
}

/** The same with an end to waiting, and with errors that are one sentence: Azure's are a page. Throws TransientError. */
export function plainly(inner: TokenCredential, withinMs = answerWithinMs): TokenCredential {
  return {
    async getToken(scopes, options) {
      let late: NodeJS.Timeout | undefined
      const limit = new Promise<never>((_, reject) => {
        late = setTimeout(() => reject(new Error(`no answer within ${withinMs / 1_000} s`)), withinMs)
      })
      try {
        return (await Promise.race([inner.getToken(scopes, options), limit])) satisfies AccessToken | null
      } catch (error) {
        if (options?.abortSignal?.aborted) throw error
        throw explained(error)
      } finally {
        clearTimeout(late)
      }
    },
  }
}

/** Whoever looked in one place and found nothing there is no news: what an identity said that was found is. */
function explained(error: unknown): TransientError {
  const all = [error, ...((error as { errors?: unknown[] }).errors ?? [])].filter(
    (each) => each instanceof Error,
  )
  const said = all.find(({ name }) => !/^(?:CredentialUnavailable|AggregateAuthentication)/.test(name))
  const why = said ? `: ${sentenceOf(said.message)}` : '.'
  // Not as a cause: it would be logged with all its pages.
  return new TransientError(
    `Azure gives this process no token${why} In Azure the machine needs a managed identity, which AZURE_CLIENT_ID names; elsewhere run \`az login\`.`,
  )
}

function sentenceOf(message: string): string {
  const [line = ''] = message.trim().split(/\r?\n/)
  const short = redact(line.length > 200 ? `${line.slice(0, 200)}…` : line)
  return /[.!?…]$/.test(short) ? short : `${short}.`
}
