import type { Client, JobRequest } from '../../client/client.ts'
import { type Endpoint, connect } from '../endpoint.ts'
import { UsageError } from '../failure.ts'
import { mustBeFile } from '../given-file.ts'
import { type Common, print, tell } from '../output.ts'
import { showUpload } from '../show-upload.ts'
import { follow } from './jobs.ts'

type Output = NonNullable<JobRequest['output']>
type SubmitOptions = Common & {
  model: string
  priority: number
  wait: boolean
  out?: string
  style?: string
  container?: Output['container']
  codec?: Output['codec']
  onError?: JobRequest['onError']
}

/** Submits a local file (uploaded first) or a URL. With `wait`, follows it to its end, and fetches its video into `out`. */
export async function submit(
  source: string,
  options: SubmitOptions,
  env: NodeJS.ProcessEnv,
  signal: AbortSignal,
): Promise<number> {
  if (options.out !== undefined && !options.wait) throw new UsageError('--out is of use with --wait')
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
  if (options.wait) {
    // Known at once, whatever becomes of the waiting; what is answered is how it ends.
    tell(`job ${job.id}`)
    return await follow(api, job.id, options, signal)
  }
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
