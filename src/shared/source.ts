import { createWriteStream } from 'node:fs'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import {
  type BlobStore,
  explainStorage,
  sourceChanged,
  sourceForbidden,
  sourceMissing,
} from './blob-store.ts'
import { InputError, TransientError } from './errors.ts'
import type { SourceRef } from './job.ts'
import { publicUrl } from './redact.ts'

/**
 * Sources and how they are read. A blob of the media account is read with the role's own identity; any other allowed
 * URL over plain HTTP, with the SAS it came with. Redirects are never followed: they could lead off the allow-list.
 */
export type SourceReader = ReturnType<typeof createSourceReader>

export function createSourceReader(media: BlobStore) {
  return {
    /** Looks at a source without reading it. Throws InputError when it is missing, forbidden or has no length. */
    async look(url: string): Promise<SourceRef> {
      const shown = publicUrl(url)
      const own = hasQuery(url) ? undefined : media.nameOf(url)
      const found = own === undefined ? await headOverHttp(url, shown) : await headOwn(media, own, shown)
      return { url: shown, kind: own === undefined ? 'http' : 'own', ...found }
    },
    /** Reads a source into a file; throws InputError when it is no longer the version that was accepted. */
    async fetch(source: SourceRef, query: string, path: string, signal?: AbortSignal): Promise<void> {
      if (source.kind === 'http') return await getOverHttp(source, query, path, signal)
      try {
        const name = media.nameOf(source.url)
        if (name === undefined)
          throw new InputError('source-not-found', `The source ${source.url} is not in the media account.`)
        await media.download(name, path, { ifMatch: source.etag, signal })
      } catch (error) {
        throw explainStorage(error, source.url)
      }
    },
  }
}

const hasQuery = (url: string) => new URL(url).search !== ''

async function headOwn(media: BlobStore, name: string, shown: string) {
  try {
    const found = await media.head(name)
    if (!found) throw sourceMissing(shown, 404)
    return { etag: found.etag, bytes: found.bytes }
  } catch (error) {
    throw explainStorage(error, shown)
  }
}

async function headOverHttp(url: string, shown: string) {
  const answer = await request(url, shown, { method: 'HEAD', signal: AbortSignal.timeout(15_000) })
  const bytes = Number(answer.headers.get('content-length') ?? Number.NaN)
  const etag = answer.headers.get('etag') ?? answer.headers.get('last-modified')
  if (!Number.isFinite(bytes) || etag === null) {
    throw new InputError(
      'source-unsized',
      `The source ${shown} gives no length or version (Content-Length, ETag).`,
    )
  }
  return { etag, bytes }
}

async function getOverHttp(source: SourceRef, query: string, path: string, signal?: AbortSignal) {
  const answer = await request(`${source.url}${query}`, source.url, {
    headers: { 'if-match': source.etag },
    signal,
  })
  // Not every server heeds If-Match: what came is compared as well.
  const etag = answer.headers.get('etag') ?? answer.headers.get('last-modified')
  if (etag !== source.etag) throw sourceChanged(source.url)
  if (!answer.body) throw new TransientError(`the source ${source.url} sent no body`)
  await pipeline(Readable.fromWeb(answer.body as never), createWriteStream(path), { signal })
}

async function request(url: string, shown: string, init: RequestInit): Promise<Response> {
  const answer = await fetch(url, { ...init, redirect: 'manual' }).catch((error: unknown) => {
    // fetch puts the whole URL, with its SAS, into some of its messages.
    if (init.signal?.aborted) throw error
    throw new TransientError(`the source ${shown} can't be reached`)
  })
  if (answer.ok) return answer
  await answer.body?.cancel()
  if (answer.status === 404) throw sourceMissing(shown, 404)
  if (answer.status === 401 || answer.status === 403) throw sourceForbidden(shown, answer.status)
  if (answer.status === 412) throw sourceChanged(shown)
  if (answer.status === 429 || answer.status >= 500) {
    throw new TransientError(`the source ${shown} answered ${answer.status}`)
  }
  if (answer.status >= 300 && answer.status < 400) {
    throw new InputError(
      'source-redirects',
      `The source ${shown} redirects (${answer.status}); give the final URL.`,
    )
  }
  throw new InputError('source-unreadable', `The source ${shown} answered ${answer.status}.`)
}
