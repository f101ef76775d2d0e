import { randomUUID } from 'node:crypto'
import createFetchClient from 'openapi-fetch'
import type { FleetChange, Job, JobRequest, Schedule, TriggerRules, paths } from './api-types.ts'
import { errorOf } from './errors.ts'
import { followJob, isOver } from './job-stream.ts'
import { type Patience, steadyFetch } from './steady-fetch.ts'
import type { UploadOptions } from './upload.ts'

export type * from './api-types.ts'
export { ApiError } from './errors.ts'
export type { UploadOptions } from './upload.ts'

export type ClientOptions = Patience & {
  /** Of the API, such as `https://framefleet.example.com`. */
  url: string
  /** A token, or what fetches one that is still good. */
  token: string | (() => string | Promise<string>)
}

export type Call = { signal?: AbortSignal }
export type Client = ReturnType<typeof createClient>

/**
 * The API of framefleet. Every method answers what the API does and throws ApiError: what was refused, or that nobody answered.
 * Calls that may be made twice are tried again by themselves, `submit` among them.
 */
export function createClient({ url, token, ...patience }: ClientOptions) {
  const api = createFetchClient<paths>({ baseUrl: url.replace(/\/+$/, ''), fetch: steadyFetch(patience) })
  api.use({
    async onRequest({ request }) {
      request.headers.set('authorization', `Bearer ${typeof token === 'string' ? token : await token()}`)
      return request
    },
  })
  const harmless = steadyFetch(patience, true)
  const of = (id: string) => ({ params: { path: { id } } })

  async function open(id: string, { signal }: Call): Promise<ReadableStream<Uint8Array>> {
    return await body(api.GET('/v1/jobs/{id}/stream', { ...of(id), signal, parseAs: 'stream' }))
  }

  async function* linesOf(id: string, { signal }: Call): AsyncGenerator<string, void> {
    for (let after: string | undefined; ;) {
      const query = after === undefined ? {} : { after }
      const asked = api.GET('/v1/jobs/{id}/logs', {
        params: { path: { id }, query },
        ...{ signal, parseAs: 'text' as const },
      })
      yield* ((await done(asked)) ?? '').split('\n').filter(Boolean)
      after = (await asked).response.headers.get('framefleet-next') ?? undefined
      if (after === undefined) return
    }
  }

  const client = {
    /**
     * Submits a job; answers its id at once. Sent again, with the same `idempotencyKey`, it is the same job; without one this
     * call has a key of its own.
     */
    submit: async (
      request: JobRequest,
      { idempotencyKey = randomUUID(), signal }: Call & { idempotencyKey?: string } = {},
    ) =>
      await good(
        api.POST('/v1/jobs', {
          ...{ body: request, signal },
          params: { header: { 'idempotency-key': idempotencyKey } },
        }),
      ),
    job: async (id: string, call: Call = {}) => await good(api.GET('/v1/jobs/{id}', { ...of(id), ...call })),
    /** Newest first, a page of at most 100. */
    jobs: async (page: { offset?: number; limit?: number } = {}, call: Call = {}) =>
      await good(api.GET('/v1/jobs', { params: { query: page }, ...call })),
    /** The job at once and with each change, at most once a second, until it has ended. */
    stream: (id: string, call: Call = {}) => followJob(async () => await open(id, call), call.signal),
    /** Waits for a job's end, whichever it is: look at its `status`. */
    async waitFor(
      id: string,
      { onChange, signal }: Call & { onChange?: (job: Job) => void } = {},
    ): Promise<Job> {
      for await (const job of client.stream(id, { signal })) {
        onChange?.(job)
        if (isOver(job)) return job
      }
      return await client.job(id, { signal })
    },
    cancel: async (id: string, call: Call = {}) =>
      await good(api.DELETE('/v1/jobs/{id}', { ...of(id), ...call })),
    /** `again` runs one anew that failed or was cancelled. */
    resume: async (id: string, again = false, call: Call = {}) =>
      await good(
        api.POST('/v1/jobs/{id}/resume', {
          params: { path: { id }, query: { again: again ? 'true' : 'false' } },
          ...call,
        }),
      ),
    /** Makes the video of a job anew of the frames it kept, as they are now. */
    restitch: async (id: string, call: Call = {}) =>
      await good(api.POST('/v1/jobs/{id}/restitch', { ...of(id), ...call })),
    resumeAll: async (call: Call = {}) => await good(api.POST('/v1/resume', call)),
    report: async (id: string, call: Call = {}) =>
      await good(api.GET('/v1/jobs/{id}/report', { ...of(id), ...call })),
    /** What all roles said of a job, in order: JSON, a line each. They come some seconds after they were said. */
    logs: (id: string, call: Call = {}) => linesOf(id, call),
    /** Links to storage that need no token, for an hour at most. */
    links: async (id: string, call: Call = {}) =>
      await good(api.GET('/v1/jobs/{id}/links', { ...of(id), ...call })),
    /** The bytes of a finished job's `output` or `preview`. */
    download: async (id: string, what: 'output' | 'preview', call: Call = {}) =>
      await body(api.GET(`/v1/jobs/{id}/${what}`, { ...of(id), ...call, parseAs: 'stream' })),
    /**
     * Sends a file straight to storage and answers the URL to submit. What was sent before a line broke is not sent again, nor a file
     * that is there already.
     */
    upload: async (path: string, options: UploadOptions = {}): Promise<string> =>
      await (await import('./upload.ts')).uploadFile({ ...client, url }, path, options),
    /** Where to put a file, or, with the `source` of an upload that is not done, where to go on. */
    beginUpload: async (body: { name: string } | { source: string }, call: Call = {}) =>
      // A link that nobody got is no loss.
      await good(api.POST('/v1/uploads', { body, ...call, fetch: harmless })),
    models: async (call: Call = {}) => await good(api.GET('/v1/models', call)),
    fleet: async (call: Call = {}) => await good(api.GET('/v1/fleet', call)),
    /** Sets what is given; the rest stays. */
    setFleet: async (change: FleetChange, call: Call = {}) =>
      await good(api.PUT('/v1/fleet', { body: change, ...call })),
    triggers: async (call: Call = {}) => await good(api.GET('/v1/triggers', call)),
    /** Sets all rules at once. */
    setTriggers: async (rules: TriggerRules, call: Call = {}) =>
      await good(api.PUT('/v1/triggers', { body: rules, ...call })),
    /** What would become of a blob of that name, were it to land. */
    testTriggers: async (name: string, call: Call = {}) =>
      await good(api.POST('/v1/triggers/test', { body: { name }, ...call })),
    schedules: async (call: Call = {}) => await good(api.GET('/v1/schedules', call)),
    /** One, with its runs. */
    schedule: async (id: string, call: Call = {}) =>
      await good(api.GET('/v1/schedules/{id}', { ...of(id), ...call })),
    setSchedule: async (id: string, schedule: Schedule, call: Call = {}) =>
      await good(api.PUT('/v1/schedules/{id}', { ...of(id), body: schedule, ...call })),
    removeSchedule: async (id: string, call: Call = {}) => {
      await done(api.DELETE('/v1/schedules/{id}', { ...of(id), ...call }))
    },
    /** Makes a run now: of the last time that was due, or of another one that has come. */
    runSchedule: async (id: string, { at, ...call }: Call & { at?: string } = {}) =>
      await good(
        api.POST('/v1/schedules/{id}/run', { ...of(id), body: at === undefined ? {} : { at }, ...call }),
      ),
    quarantine: async (page: { offset?: number; limit?: number } = {}, call: Call = {}) =>
      await good(api.GET('/v1/quarantine', { params: { query: page }, ...call })),
    quarantined: async (id: string, call: Call = {}) =>
      await good(api.GET('/v1/quarantine/{id}', { ...of(id), ...call })),
    retryQuarantined: async (id: string, call: Call = {}) =>
      await good(api.POST('/v1/quarantine/{id}/retry', { ...of(id), ...call })),
    dropQuarantined: async (id: string, call: Call = {}) => {
      await done(api.DELETE('/v1/quarantine/{id}', { ...of(id), ...call }))
    },
    /** Any call of the API, typed by its description, as openapi-fetch makes them. */
    api,
  }
  return client
}

type Answer<Data> = { data?: Data; error?: unknown; response: Response }

async function done<Data>(asked: Promise<Answer<Data>>): Promise<Data | undefined> {
  const { data, error, response } = await asked
  if (!response.ok) throw errorOf(response, error)
  return data
}

async function good<Data>(asked: Promise<Answer<Data>>): Promise<NonNullable<Data>> {
  const { response } = await asked
  const data = await done(asked)
  if (data === undefined || data === null) throw errorOf(response, undefined)
  return data
}

async function body(asked: Promise<Answer<unknown>>): Promise<ReadableStream<Uint8Array>> {
  await done(asked)
  const { response, data } = await asked
  if (!data) throw errorOf(response, undefined)
  return data as ReadableStream<Uint8Array>
}
