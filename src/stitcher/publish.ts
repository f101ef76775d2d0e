import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import type { Output } from '../shared/accepted-outputs.ts'
import { checkOwnName } from '../shared/blob-name.ts'
import { type BlobStore, connectBlob } from '../shared/blob-store.ts'
import { muxers } from '../shared/encoding.ts'
import { InputError } from '../shared/errors.ts'
import type { JobSpec, Report, VideoPlan } from '../shared/job.ts'
import { layout, outputMark } from '../shared/layout.ts'

/**
 * Puts the finished video where the job wants it, all at once: readers see the old blob, if any, or the whole new one.
 * The job's own copy is always written; the URL that was accepted gets one as well.
 */
export async function publish(
  media: BlobStore,
  {
    spec,
    plan,
    path,
    output,
    signal,
  }: { spec: JobSpec; plan: VideoPlan; path: string; output: Output; signal: AbortSignal },
): Promise<NonNullable<Report['output']>> {
  const { container } = plan.encoding
  const { contentType } = muxers[container]
  return await publishFile(media, {
    spec,
    path,
    output,
    signal,
    contentType,
    name: layout.output(spec.id, container),
  })
}

type Publishing = {
  spec: JobSpec
  path: string
  output: Output
  contentType: string
  /** The blob that is the job's own copy. */
  name: string
  signal: AbortSignal
}

/** The same for a file of any kind. */
export async function publishFile(
  media: BlobStore,
  { spec, path, output, contentType, name, signal }: Publishing,
): Promise<NonNullable<Report['output']>> {
  const [sha256] = await Promise.all([
    sha256OfFile(path),
    media.uploadFile(name, path, { contentType, signal }),
  ])
  const { url, query } = output
  const mark = { [outputMark]: spec.id }
  if (url) await publishTo(media, { url, query, path, contentType, metadata: mark, signal })
  const { size: bytes } = await stat(path)
  return { url: url ?? media.url(name), bytes, sha256 }
}

type Destination = {
  url: string
  query: string
  path: string
  contentType: string
  metadata: Record<string, string>
  signal: AbortSignal
}

async function publishTo(
  media: BlobStore,
  { url, query, path, contentType, metadata, signal }: Destination,
): Promise<void> {
  const own = media.nameOf(url)
  // As when it was accepted: what was kept since then is not believed to be that.
  if (own !== undefined) checkOwnName(own, 'write')
  if (query === '' && own !== undefined) {
    await media.uploadFile(own, path, { contentType, metadata, signal })
    return
  }
  if (query === '')
    throw new InputError(
      'output-forbidden',
      `The output ${url} is not in the media container, and came without a SAS.`,
    )
  const options = { blobHTTPHeaders: { blobContentType: contentType }, metadata, abortSignal: signal }
  await connectBlob(`${url}${query}`)
    .uploadFile(path, options)
    .catch((error: unknown) => {
      const { statusCode } = error as { statusCode?: number }
      if (statusCode === 403 || statusCode === 404) {
        throw new InputError(
          'output-forbidden',
          `The output ${url} may not be written (${statusCode}). Check its SAS.`,
        )
      }
      throw error
    })
}

async function sha256OfFile(path: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer)
  return hash.digest('hex')
}
