import { stat } from 'node:fs/promises'
import { connectAccount, createBlobStore } from '../../shared/blob-store.ts'
import { InputError } from '../../shared/errors.ts'
import { type Endpoint, createApiClient, findEndpoint } from '../api-client.ts'
import { uploadVideo } from '../local-files.ts'
import { watchJob } from '../watch-job.ts'

type Common = { dir: string; json: boolean }
type SubmitOptions = Common & {
  model: string
  wait: boolean
  container?: string
  codec?: string
  onError?: string
}

const print = (value: unknown) =>
  void process.stdout.write(`${typeof value === 'string' ? value : JSON.stringify(value)}\n`)

/** Submits a local file (uploaded first) or a URL. With `wait`, follows it to its end. */
export async function submit(
  source: string,
  options: SubmitOptions,
  env: NodeJS.ProcessEnv,
  signal: AbortSignal,
): Promise<number> {
  const endpoint = await findEndpoint(env, options.dir)
  const url = /^https?:\/\//.test(source) ? source : await upload(endpoint, source)
  const { model, container, codec, onError } = options
  const job = await createApiClient(endpoint).submit({
    source: { url },
    model,
    output: { container, codec },
    onError,
  })
  if (options.wait) return await watch(job.id, options, env, signal)
  print(options.json ? job : job.id)
  return 0
}

export async function watch(
  id: string,
  options: Common,
  env: NodeJS.ProcessEnv,
  signal: AbortSignal,
): Promise<number> {
  const api = createApiClient(await findEndpoint(env, options.dir))
  const job = await watchJob(api, id, { quiet: options.json, signal })
  print(
    options.json
      ? job
      : `${job.status}${job.error ? `: ${job.error.message}` : ''}${job.output ? ` ${job.output}` : ''}`,
  )
  return job.status === 'succeeded' ? 0 : 1
}

export async function cancel(id: string, options: Common, env: NodeJS.ProcessEnv): Promise<number> {
  const answer = await createApiClient(await findEndpoint(env, options.dir)).cancel(id)
  print(options.json ? answer : answer.status)
  return 0
}

export async function models(options: Common, env: NodeJS.ProcessEnv): Promise<number> {
  const answer = await createApiClient(await findEndpoint(env, options.dir)).models()
  if (options.json) print(answer.models)
  else
    for (const { name, version, title, description } of answer.models)
      print(`${name}@${version}  ${description ?? title ?? ''}`)
  return 0
}

export async function token(options: Common, env: NodeJS.ProcessEnv): Promise<number> {
  print((await findEndpoint(env, options.dir)).token)
  return 0
}

async function upload(endpoint: Endpoint, path: string): Promise<string> {
  if (!(await stat(path).catch(() => undefined))?.isFile())
    throw new InputError('no-file', `There is no file ${path}.`)
  if (!endpoint.mediaAccount)
    throw new Error('to upload a file set FRAMEFLEET_MEDIA_ACCOUNT; a URL needs none')
  return await uploadVideo(
    createBlobStore(connectAccount(endpoint.mediaAccount), endpoint.mediaContainer),
    path,
  )
}
