import { stat } from 'node:fs/promises'
import type { Client, JobRequest } from '../../client/client.ts'
import { InputError } from '../../shared/errors.ts'
import { type Endpoint, connect } from '../endpoint.ts'
import { type Common, print } from '../output.ts'
import { showUpload } from '../show-upload.ts'
import { follow } from './jobs.ts'

type Output = NonNullable<JobRequest['output']>
type SubmitOptions = Common & {
  model: string
  priority: number
  wait: boolean
  style?: string
  container?: Output['container']
  codec?: Output['codec']
  onError?: JobRequest['onError']
}

/** Submits a local file (uploaded first) or a URL. With `wait`, follows it to its end. */
export async function submit(
  source: string,
  options: SubmitOptions,
  env: NodeJS.ProcessEnv,
  signal: AbortSignal,
): Promise<number> {
  const { api, endpoint } = await connect(env, options.dir)
  const urlOf = async (what: string) => await bring(what, api, endpoint, { quiet: options.json, signal })
  const url = await urlOf(source)
  const { model, container, codec, onError, priority } = options
  const job = await api.submit(
    {
      source: { url },
      model,
      ...(options.style === undefined ? {} : { style: { url: await urlOf(options.style) } }),
      output: { container, codec },
      ...{ onError, priority },
    },
    { signal },
  )
  if (options.wait) return await follow(api, job.id, options, signal)
  print(options.json ? job : job.id)
  return 0
}

/** The URL of a source: as it is, or of a local file once it is in storage. */
async function bring(
  source: string,
  api: Client,
  endpoint: Endpoint,
  { quiet, signal }: { quiet: boolean; signal: AbortSignal },
): Promise<string> {
  if (/^https?:\/\//.test(source)) return source
  if (!(await stat(source).catch(() => undefined))?.isFile())
    throw new InputError('no-file', `There is no file ${source}.`)
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
