import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { type Client, createClient } from '../client/client.ts'
import { NoEndpointError } from './failure.ts'

/** How to reach a running system: from the environment, or from what `framefleet up` left under `.framefleet/`. */
const Endpoint = z.object({
  apiUrl: z.url(),
  token: z.string().optional(),
  /** What tokens of Entra ID are for, where there is no other. */
  audience: z.string().optional(),
  mediaAccount: z.string().optional(),
  mediaContainer: z.string().default('media'),
  systemAccount: z.string().optional(),
  systemContainer: z.string().default('system'),
})
export type Endpoint = z.infer<typeof Endpoint>

const endpointFile = (dir: string) => join(dir, 'endpoint.json')

export async function saveEndpoint(dir: string, endpoint: Endpoint): Promise<void> {
  await writeFile(endpointFile(dir), JSON.stringify(endpoint), { mode: 0o600 })
}

export async function forgetEndpoint(dir: string): Promise<void> {
  await rm(endpointFile(dir), { force: true })
}

/** Where the system of this folder says that it answers, if it is up. */
export async function urlOfLast(dir: string): Promise<string | undefined> {
  return Endpoint.safeParse(await readLocal(dir)).data?.apiUrl
}

export async function findEndpoint(env: NodeJS.ProcessEnv, dir: string): Promise<Endpoint> {
  const apiUrl = env['FRAMEFLEET_API_URL']
  const local = await readLocal(dir)
  // What one system left is no key to another.
  const kept = apiUrl && apiUrl !== local['apiUrl'] ? {} : local
  const read = Endpoint.safeParse({
    ...kept,
    ...set('apiUrl', apiUrl),
    ...set('token', env['FRAMEFLEET_API_TOKEN']),
    ...set('audience', env['FRAMEFLEET_API_AUDIENCE']),
    ...set('mediaAccount', env['FRAMEFLEET_MEDIA_ACCOUNT']),
    ...set('mediaContainer', env['FRAMEFLEET_MEDIA_CONTAINER']),
    ...set('systemAccount', env['FRAMEFLEET_SYSTEM_ACCOUNT']),
    ...set('systemContainer', env['FRAMEFLEET_SYSTEM_CONTAINER']),
  })
  const isUrl = ['http:', 'https:'].includes(URL.parse(apiUrl ?? '')?.protocol ?? '')
  if (apiUrl && !isUrl)
    throw new NoEndpointError(
      `FRAMEFLEET_API_URL is no URL: ${apiUrl}; it should look like https://framefleet.example.com`,
    )
  if (read.success && (read.data.token ?? read.data.audience) !== undefined) return read.data
  const key = 'FRAMEFLEET_API_TOKEN (or FRAMEFLEET_API_AUDIENCE, to sign in with Entra ID)'
  throw new NoEndpointError(
    apiUrl
      ? `there is no token for ${apiUrl}: set ${key}`
      : `no system found: run \`framefleet up\` here, or set FRAMEFLEET_API_URL and ${key}`,
  )
}

/** The API of the system that is meant, and how else to reach it. */
export async function connect(
  env: NodeJS.ProcessEnv,
  dir: string,
): Promise<{ api: Client; endpoint: Endpoint }> {
  const endpoint = await findEndpoint(env, dir)
  return { endpoint, api: createClient({ url: endpoint.apiUrl, token: async () => await tokenOf(endpoint) }) }
}

/** A token that is good now. Those of Entra ID come from whoever is signed in here: `az login`, or the machine's identity. */
export async function tokenOf({ token, audience = '' }: Endpoint): Promise<string> {
  if (token !== undefined) return token
  const { azureCredential } = await import('../shared/identity.ts')
  const found = await azureCredential()
    .getToken(`${audience.replace(/\/$/, '')}/.default`)
    .catch((error: Error) => {
      const first = error.message.split('\n')[0] ?? ''
      throw new NoEndpointError(`no token of Entra ID for ${audience}: try \`az login\` (${first})`)
    })
  if (found) return found.token
  throw new NoEndpointError(`no token of Entra ID for ${audience}: try \`az login\``)
}

async function readLocal(dir: string): Promise<Record<string, unknown>> {
  const text = await readFile(endpointFile(dir), 'utf8').catch(() => '{}')
  return JSON.parse(text) as Record<string, unknown>
}

const set = (name: string, value: string | undefined) => (value ? { [name]: value } : {})
