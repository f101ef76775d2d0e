import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import type { FleetSettings, FleetView, WorkerRecord } from '../shared/fleet.ts'

/** How to reach a running system: from the environment, or from what `framefleet up` left under `.framefleet/`. */
export const Endpoint = z.object({
  apiUrl: z.url(),
  token: z.string(),
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

export async function findEndpoint(env: NodeJS.ProcessEnv, dir: string): Promise<Endpoint> {
  const kept = await readFile(endpointFile(dir), 'utf8').catch(() => undefined)
  const local = kept ? (JSON.parse(kept) as Record<string, unknown>) : {}
  const read = Endpoint.safeParse({
    ...local,
    ...set('apiUrl', env['FRAMEFLEET_API_URL']),
    ...set('token', env['FRAMEFLEET_API_TOKEN']),
    ...set('mediaAccount', env['FRAMEFLEET_MEDIA_ACCOUNT']),
    ...set('mediaContainer', env['FRAMEFLEET_MEDIA_CONTAINER']),
    ...set('systemAccount', env['FRAMEFLEET_SYSTEM_ACCOUNT']),
    ...set('systemContainer', env['FRAMEFLEET_SYSTEM_CONTAINER']),
  })
  if (read.success) return read.data
  throw new Error(
    'no system found: run `framefleet up` here, or set FRAMEFLEET_API_URL and FRAMEFLEET_API_TOKEN',
  )
}

const set = (name: string, value: string | undefined) => (value ? { [name]: value } : {})

export type JobAnswer = {
  id: string
  status: string
  frames: { done: number; total: number | null }
  fps: number | null
  etaSeconds: number | null
  error: { code: string; message: string } | null
  output: string | null
}

type RecordAnswer = { id: string; at: string; reason: string; message: string } & Record<string, unknown>

export type FleetAnswer = {
  settings: FleetSettings
  autoscaler: FleetView | null
  workers: WorkerRecord[]
  workersTotal: number
  rates: Record<string, unknown>[]
}

export type ApiClient = ReturnType<typeof createApiClient>

export function createApiClient({ apiUrl, token }: Pick<Endpoint, 'apiUrl' | 'token'>) {
  async function call(method: string, path: string, body?: unknown): Promise<Response> {
    const answer = await fetch(`${apiUrl}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${token}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    }).catch((error: unknown) => {
      throw new Error(`the API at ${apiUrl} can't be reached`, { cause: error })
    })
    if (answer.ok) return answer
    const problem = (await answer.json().catch(() => ({}))) as { detail?: string }
    throw new Error(problem.detail ?? `the API answered ${answer.status} to ${method} ${path}`)
  }
  const json = async <T>(answer: Promise<Response>) => (await (await answer).json()) as T

  return {
    submit: (request: unknown) => json<{ id: string; status: string }>(call('POST', '/v1/jobs', request)),
    jobs: ({ offset, limit }: { offset: number; limit: number }) =>
      json<{ jobs: JobAnswer[] }>(call('GET', `/v1/jobs?offset=${offset}&limit=${limit}`)),
    job: (id: string) => json<JobAnswer>(call('GET', `/v1/jobs/${encodeURIComponent(id)}`)),
    cancel: (id: string) =>
      json<{ id: string; status: string }>(call('DELETE', `/v1/jobs/${encodeURIComponent(id)}`)),
    resume: (id: string, again: boolean) =>
      json<{ id: string; outcome: string }>(
        call('POST', `/v1/jobs/${encodeURIComponent(id)}/resume?again=${again}`),
      ),
    resumeAll: () => json<Record<string, number>>(call('POST', '/v1/resume')),
    report: (id: string) =>
      json<Record<string, unknown>>(call('GET', `/v1/jobs/${encodeURIComponent(id)}/report`)),
    quarantine: (offset: number, limit: number) =>
      json<{ total: number; records: RecordAnswer[] }>(
        call('GET', `/v1/quarantine?offset=${offset}&limit=${limit}`),
      ),
    quarantined: (id: string) => json<RecordAnswer>(call('GET', `/v1/quarantine/${encodeURIComponent(id)}`)),
    retryQuarantined: (id: string) =>
      json<{ id: string; jobId: string; status: string }>(
        call('POST', `/v1/quarantine/${encodeURIComponent(id)}/retry`),
      ),
    dropQuarantined: async (id: string) =>
      void (await call('DELETE', `/v1/quarantine/${encodeURIComponent(id)}`)),
    fleet: () => json<FleetAnswer>(call('GET', '/v1/fleet')),
    setFleet: (change: Partial<FleetSettings>) => json<FleetSettings>(call('PUT', '/v1/fleet', change)),
    models: () =>
      json<{ models: { name: string; version: string; title?: string; description?: string }[] }>(
        call('GET', '/v1/models'),
      ),
    /** Bytes of a finished job: its `output` or `preview`. */
    download: async (id: string, what: 'output' | 'preview') =>
      (await call('GET', `/v1/jobs/${encodeURIComponent(id)}/${what}`)).body,
  }
}
