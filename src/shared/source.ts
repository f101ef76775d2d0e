import { createWriteStream } from 'node:fs'
import { pipeline } from 'node:stream/promises'
import {
  type BlobStore,
  explainStorage,
  sourceChanged,
  sourceForbidden,
  sourceMissing,
} from './blob-store.ts'
import { InputError, TransientError } from './errors.ts'
import type { FileCache } from './file-cache.ts'
import type { SourceRef } from './job.ts'
import { publicUrl } from './redact.ts'
import { readSteadily } from './steady-read.ts'
import { retryAfter } from './storage-patience.ts'

/**
 * Sources and how they are read. A blob of the media account is read with the role's own identity; any other allowed
 * URL over plain HTTP, with the SAS it came with. Redirects are never followed: they could lead off the allow-list.
 */
export type SourceReader = ReturnType<typeof createSourceReader>

export function createSourceReader(media: BlobStore, cache: FileCache, { idleMs }: { idleMs?: number } = {}) {
  return {
    /** Looks at a source without reading it. Throws InputError when it is missing, forbidden or has no length. */
    async look(url: string): Promise<SourceRef> {
      const shown = publicUrl(url)
      const own = hasQuery(url) ? undefined : media.nameOf(url)
      const found = own === undefined ? await headOverHttp(url, shown) : await headOwn(media, own, shown)
      return { url: shown, kind: own === undefined ? 'http' : 'own', ...found }
    },
    /**
     * Makes `path` the source's file, fetched once for each machine. `query` is the SAS it came with. Throws InputError
     * when it is no longer the version that was accepted.
     */
    async open(source: SourceRef, query: string, path: string, signal?: AbortSignal): Promise<void> {
      const fetchTo = async (to: string, stop: AbortSignal) => {
        if (source.kind === 'http') await getOverHttp(source, query, to, { signal: stop, idleMs })
        else await getOwn(media, source, to, stop)
      }
      await cache.take(`source ${source.url} ${source.etag}`, path, fetchTo, signal)
    },
  }
}

async function getOwn(media: BlobStore, source: SourceRef, to: string, signal: AbortSignal): Promise<void> {
  try {
    const name = media.nameOf(source.url)
    if (name === undefined) {
      throw new InputError('source-not-found', `The source ${source.url} is not in the media account.`)
    }
    await media.download(name, to, { ifMatch: source.etag, signal })
  } catch (error) {
    throw explainStorage(error, source.url)
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
  const etag = versionOf(answer)
  if (!Number.isFinite(bytes) || etag === null) {
    throw new InputError(
      'source-unsized',
      `The source ${shown} gives no length or version (Content-Length, ETag).`,
    )
  }
  return { etag, bytes }
}

async function getOverHttp(
  source: SourceRef,
  query: string,
  path: string,
  { signal, idleMs }: { signal: AbortSignal; idleMs?: number },
): Promise<void> {
  // If-Match compares strongly: a weak version, or a date, would never match.
  const strong = source.etag.startsWith('"')
  const open = async (from: number, stop: AbortSignal) => {
    const answer = await request(`${source.url}${query}`, source.url, {
      headers: {
        'accept-encoding': 'identity',
        ...(strong ? { 'if-match': source.etag } : {}),
        ...(from > 0 ? { range: `bytes=${from}-` } : {}),
      },
      signal: stop,
    })
    // Not every server heeds If-Match, or Range: what came is compared as well.
    if (versionOf(answer) !== source.etag) throw sourceChanged(source.url)
    const at = Number(/^bytes (\d+)-/.exec(answer.headers.get('content-range') ?? '')?.[1] ?? 0)
    if (!answer.body || at > from) throw new TransientError(`the source ${source.url} sent another part`)
    return { body: answer.body, bytes: source.bytes, at }
  }
  const tooLong = () => sourceChanged(source.url)
  const body = readSteadily({ what: `the source ${source.url}`, open, tooLong, signal, idleMs })
  await pipeline(body, createWriteStream(path))
}

const versionOf = (answer: Response) => answer.headers.get('etag') ?? answer.headers.get('last-modified')

async function request(url: string, shown: string, init: RequestInit): Promise<Response> {
  const answer = await fetch(url, { ...init, redirect: 'manual' }).catch((error: unknown) => {
    // fetch puts the whole URL, with its SAS, into some of its messages.
    const { name } = init.signal?.aborted ? (init.signal.reason as Error) : { name: '' }
    if (name !== '' && name !== 'TimeoutError') throw error
    throw new TransientError(`the source ${shown} can't be reached`)
  })
  if (answer.ok) return answer
  await answer.body?.cancel()
  if (answer.status === 404) throw sourceMissing(shown, 404)
  if (answer.status === 401 || answer.status === 403) throw sourceForbidden(shown, answer.status)
  if (answer.status === 412) throw sourceChanged(shown)
  if (answer.status === 429 || answer.status >= 500) {
    throw new TransientError(`the source ${shown} answered ${answer.status}`, {
      retryAfterMs: retryAfter((name) => answer.headers.get(name)),
    })
  }
  if (answer.status >= 300 && answer.status < 400) {
    throw new InputError(
      'source-redirects',
      `The source ${shown} redirects (${answer.status}); give the final URL.`,
    )
  }
  throw new InputError('source-unreadable', `The source ${shown} answered ${answer.status}.`)
}
