import type { Client, JobRequest } from '../../client/client.ts'
import { InputError } from '../../shared/errors.ts'
import { type Endpoint, connect } from '../endpoint.ts'
import { UsageError } from '../failure.ts'
import { mustBeFile, readJson } from '../given-file.ts'
import { type Common, print, tell } from '../output.ts'
import { showUpload } from '../show-upload.ts'
import { follow } from './jobs.ts'

type Output = NonNullable<JobRequest['output']>
type SubmitOptions = Common & {
  model: string
  priority: number
  wait: boolean
  out?: string
  job?: string
  style?: string
  container?: Output['container']
  codec?: Output['codec']
  onError?: JobRequest['onError']
}

/**
 * Submits a local file (uploaded first) or a URL, or the job that a file describes. With `wait`, follows it to its end, and fetches
 * what came of it into `out`.
 */
export async function submit(
  source: string | undefined,
  options: SubmitOptions,
  env: NodeJS.ProcessEnv,
  signal: AbortSignal,
): Promise<number> {
  if (options.out !== undefined && !options.wait) throw new UsageError('--out is of use with --wait')
  if (options.job !== undefined) {
    const request = await readRequest(options.job)
    return await send(async (urlOf) => await withSource(request, source, urlOf), options, env, signal)
  }
  if (source === undefined) throw new UsageError('name a file or a URL, or a job with --job')
  return await send(async (urlOf) => await asOptioned(source, options, urlOf), options, env, signal)
}

/** Brings a local file into storage, and answers its URL. */
type UrlOf = (what: string) => Promise<string>

async function send(
  request: (urlOf: UrlOf) => Promise<JobRequest>,
  options: SubmitOptions,
  env: NodeJS.ProcessEnv,
  signal: AbortSignal,
): Promise<number> {
  const { api, endpoint } = await connect(env, options.dir)
  const urlOf = async (what: string) => await bring(what, api, endpoint, { quiet: options.json, signal })
  const job = await api.submit(await request(urlOf), { signal })
  if (options.wait) {
    // Known at once, whatever becomes of the waiting; what is answered is how it ends.
    tell(`job ${job.id}`)
    return await follow(api, job.id, options, signal)
  }
  print(options.json ? job : job.id)
  return 0
}

async function asOptioned(source: string, options: SubmitOptions, urlOf: UrlOf): Promise<JobRequest> {
  const { model, container, codec, onError, priority } = options
  return {
    source: { url: await urlOf(source) },
    model,
    ...(options.style === undefined ? {} : { style: { url: await urlOf(options.style) } }),
    output: { container, codec },
    ...{ onError, priority },
  }
}

/** A job as its file has it: the API says what is wrong with it. */
async function readRequest(file: string): Promise<JobRequest> {
  const request = await readJson(file)
  if (typeof request === 'object' && request !== null && !Array.isArray(request)) return request as JobRequest
  throw new InputError(
    'no-job',
    `${file} describes no job: it must hold an object, such as { source, model }.`,
  )
}

/** What is named beside the job's file is its table, or else its video. */
async function withSource(
  request: JobRequest,
  source: string | undefined,
  urlOf: UrlOf,
): Promise<JobRequest> {
  if (source === undefined) return request
  const url = await urlOf(source)
  const { table } = request.source ?? {}
  return { ...request, source: table ? { table: { ...table, url } } : { ...request.source, url } }
}

/** The URL of a source: as it is, or of a local file once it is in storage. */
async function bring(
  source: string,
  api: Client,
  endpoint: Endpoint,
  { quiet, signal }: { quiet: boolean; signal: AbortSignal },
): Promise<string> {
  if (/^https?:\/\//.test(source)) return source
  await mustBeFile(source)
  if (endpoint.mediaAccount) {
    const [{ uploadVideo }, { connectAccount, createBlobStore }] = await Promise.all([
      import('../local-files.ts'),
      import('../../shared/blob-store.ts'),
    ])
    const account = connectAccount(endpoint.mediaAccount)
    return await uploadVideo(createBlobStore(account, endpoint.mediaContainer), source)
  }
  const show = showUpload(source, quiet)
  try {
    return await api.upload(source, { signal, onProgress: show.update })
  } finally {
    show.close()
  }
}
