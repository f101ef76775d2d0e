import { stat } from 'node:fs/promises'
import { connectAccount, createBlobStore } from '../../shared/blob-store.ts'
import { InputError } from '../../shared/errors.ts'
import { type Endpoint, createApiClient, findEndpoint } from '../api-client.ts'
import { uploadVideo } from '../local-files.ts'
import { type Common, print, watch } from './jobs.ts'

type SubmitOptions = Common & {
  model: string
  priority: number
  wait: boolean
  style?: string
  container?: string
  codec?: string
  onError?: string
}

/** Submits a local file (uploaded first) or a URL. With `wait`, follows it to its end. */
export async function submit(
  source: string,
  options: SubmitOptions,
  env: NodeJS.ProcessEnv,
  signal: AbortSignal,
): Promise<number> {
  const endpoint = await findEndpoint(env, options.dir)
  const url = await urlOf(endpoint, source)
  const style = options.style === undefined ? undefined : { url: await urlOf(endpoint, options.style) }
  const { model, container, codec, onError, priority } = options
  const job = await createApiClient(endpoint).submit({
    source: { url },
    model,
    style,
    output: { container, codec },
    onError,
    priority,
  })
  if (options.wait) return await watch(job.id, options, env, signal)
  print(options.json ? job : job.id)
  return 0
}

/** A URL as it is; a local file is uploaded first. */
async function urlOf(endpoint: Endpoint, source: string): Promise<string> {
  if (/^https?:\/\//.test(source)) return source
  if (!(await stat(source).catch(() => undefined))?.isFile())
    throw new InputError('no-file', `There is no file ${source}.`)
  if (!endpoint.mediaAccount)
    throw new Error('to upload a file set FRAMEFLEET_MEDIA_ACCOUNT; a URL needs none')
  return await uploadVideo(
    createBlobStore(connectAccount(endpoint.mediaAccount), endpoint.mediaContainer),
    source,
  )
}
