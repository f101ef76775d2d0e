import type { BlobStore } from '../../shared/blob-store.ts'
import { checkListed, checkOwnName } from '../../shared/blob-name.ts'
import { InputError } from '../../shared/errors.ts'
import type { TableSource } from '../../shared/items/request.ts'
import type { JobRequest, SourceRef } from '../../shared/job.ts'
import { publicUrl } from '../../shared/redact.ts'
import type { SourceReader } from '../../shared/source.ts'
import { checkUrl } from '../source-policy.ts'
import type { SourceDeps } from './open-source.ts'

/** What can be seen to be wrong at once with a job that is no video. Throws InputError with one sentence. */
export function checkItems(
  { policy, media }: Pick<SourceDeps, 'policy'> & { media: Pick<BlobStore, 'nameOf'> },
  { source, output, intermediate }: JobRequest,
): void {
  const { images, table } = source
  if (intermediate) throw new InputError('bad-request', 'Only a video has intermediate frames.')
  const { container, codec, crf, preset, url } = output
  if ([container, codec, crf, preset, url].some((each) => each !== undefined))
    throw new InputError(
      'bad-output',
      'Only a video has a url, container, codec, crf or preset: give output.images or output.scores.',
    )
  if (output.images && output.scores)
    throw new InputError(
      'bad-output',
      'A job makes images or scores: give one of output.images and output.scores.',
    )
  if (table) checkTable(table, output)
  for (const each of [...(images?.list ?? []), images?.manifest, table?.url]) {
    if (each !== undefined) checkUrl(each, 'read', { media, policy })
  }
  const from = images?.prefix ?? table?.prefix
  const to = output.images?.prefix
  if (from !== undefined) checkListed(from)
  if (to !== undefined) checkOwnName(to, 'write')
}

function checkTable({ columns = {}, features }: TableSource, output: JobRequest['output']): void {
  if (!output.scores) throw new InputError('bad-output', 'A table becomes scores: give output.scores.')
  const given = new Set(features)
  const text = Object.entries(columns).find(
    ([column, type]) => ['text', 'time'].includes(type) && given.has(column),
  )
  if (text)
    throw new InputError(
      'bad-request',
      `A model is given numbers: the feature ${text[0]} can't be of the type ${text[1]}.`,
    )
}

/** In bytes: as many lines as there may be images, of what lines usually are. */
const mostManifest = 1 << 30

/** What a job of items is made of, as one thing to be shown. Throws InputError where a file is missing. */
export async function lookAtItems(
  { sources, media }: { sources: Pick<SourceReader, 'look'>; media: Pick<BlobStore, 'url'> },
  { images, table }: JobRequest['source'],
): Promise<SourceRef> {
  const file = images?.manifest ?? table?.url
  const found = file === undefined ? undefined : await sources.look(file)
  if (images && found && found.bytes > mostManifest)
    throw new InputError(
      'source-too-large',
      `The manifest has ${found.bytes} bytes; ${mostManifest} are the limit.`,
    )
  if (found) return found
  const prefix = images?.prefix ?? table?.prefix
  const url = prefix === undefined ? publicUrl(images?.list?.[0] ?? '') : media.url(prefix)
  return { url, kind: 'many', etag: '', bytes: 0 }
}
