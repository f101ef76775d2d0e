import { createHash } from 'node:crypto'
import { type FileHandle, open } from 'node:fs/promises'
import { basename } from 'node:path'
import { AnonymousCredential, BlockBlobClient, RestError, newPipeline } from '@azure/storage-blob'
import pMap from 'p-map'
import type { Upload } from './api-types.ts'
import { ApiError } from './errors.ts'
import { identityOf, openUploadState } from './upload-state.ts'

export type UploadOptions = {
  signal?: AbortSignal
  /** Of the file's bytes, how many are there; those of an earlier try count at once. */
  onProgress?: (progress: { sent: number; total: number }) => void
  /** Where it is kept how far an upload came; by default the user's state folder. */
  stateDir?: string
  /** Least bytes a block; more where there would be too many of them. */
  blockBytes?: number
  /** Of each block. */
  tries?: number
}

type Api = {
  url: string
  beginUpload(body: { name: string } | { source: string }, call?: { signal?: AbortSignal }): Promise<Upload>
}

const mib = 1 << 20
const mostBlocks = 50_000
/** Blocks on their way, each held in memory: 32 MiB of the usual ones. */
const atOnce = 4
/** A link that ends sooner than a slow block may take is renewed first; one that is short by nature, in its last third. */
const renewBeforeMs = 5 * 60_000

/**
 * Sends a file in blocks to where the API says and answers the URL that a job names it by.
 *
 *   begun ──► blocks, in any order ──► their list, which makes them a blob at once ──► done
 *     ▲            │ cut off                │ cut off
 *     └── again ◄──┴────────────────────────┘   only blocks that storage lacks are sent; a file that has changed begins anew
 *
 * Throws ApiError: what the API or storage refuses, `file-changed` where somebody writes to the file meanwhile.
 */
export async function uploadFile(api: Api, path: string, options: UploadOptions = {}): Promise<string> {
  const { signal, onProgress = () => {}, stateDir } = options
  const file = await open(path)
  try {
    const identity = await identityOf(path)
    const { size: total } = await file.stat()
    const kept = await openUploadState(api.url, path, stateDir)
    const known = await kept.read(identity)
    const blockBytes = known?.blockBytes ?? blockSize(total, options.blockBytes ?? 8 * mib)
    const begun = await begin(api, basename(path), known?.source, signal)
    if (begun === 'done' && known) {
      onProgress({ sent: total, total })
      return known.source
    }
    const upload = begun === 'done' ? await api.beginUpload({ name: basename(path) }, { signal }) : begun
    await kept.write({ v: 1, source: upload.source, file: identity, blockBytes })

    const blob = createTarget(api, upload, options)
    const blocks = blocksOf(total, blockBytes, identity)
    const there = await blob.staged()
    const missing = blocks.filter(({ id, bytes }) => there.get(id) !== bytes)
    let sent = total - missing.reduce((sum, { bytes }) => sum + bytes, 0)
    onProgress({ sent, total })
    await pMap(
      missing,
      async ({ id, from, bytes }) => {
        await blob.stage(id, await readExactly(file, from, bytes, path))
        onProgress({ sent: (sent += bytes), total })
      },
      { concurrency: atOnce, signal },
    )
    if ((await identityOf(path)) !== identity) throw changed(path)
    await blob.commit(blocks.map(({ id }) => id))
    return upload.source
  } finally {
    await file.close()
  }
}

/** Goes on with what was begun, where the API still knows of it; `done` where there is nothing left to do. */
async function begin(
  api: Api,
  name: string,
  source: string | undefined,
  signal?: AbortSignal,
): Promise<Upload | 'done'> {
  if (source === undefined) return await api.beginUpload({ name }, { signal })
  try {
    return await api.beginUpload({ source }, { signal })
  } catch (error) {
    if (!(error instanceof ApiError)) throw error
    if (error.code === 'upload-done') return 'done'
    // Begun with another token, or at a system that is no more.
    if (error.status === 422) return await api.beginUpload({ name }, { signal })
    throw error
  }
}

const blockSize = (total: number, least: number) => Math.max(least, Math.ceil(total / mostBlocks / mib) * mib)

/** Ids of one length, as storage wants them; of this file as it is now, so that no block of another one counts. */
function blocksOf(total: number, blockBytes: number, identity: string) {
  const mark = createHash('sha256').update(identity).digest('hex').slice(0, 16)
  return Array.from({ length: Math.ceil(total / blockBytes) }, (_, i) => {
    const from = i * blockBytes
    const id = Buffer.from(`${String(from).padStart(16, '0')}-${mark}`).toString('base64')
    return { id, from, bytes: Math.min(blockBytes, total - from) }
  })
}

/** The blob that is written, by a link that is renewed before it ends. */
function createTarget(api: Api, first: Upload, { signal, tries = 5 }: UploadOptions) {
  const requests = newPipeline(new AnonymousCredential(), {
    retryOptions: { maxTries: tries, retryDelayInMs: 500, maxRetryDelayInMs: 8_000 },
  })
  let link = { url: first.url, renewAt: renewalOf(first) }
  let renewing: Promise<void> | undefined

  /** Once for all blocks that wait for it; where it fails the next block tries again. */
  async function renew(): Promise<void> {
    try {
      const next = await api.beginUpload({ source: first.source }, { signal })
      link = { url: next.url, renewAt: renewalOf(next) }
    } finally {
      renewing = undefined
    }
  }

  async function blob(): Promise<BlockBlobClient> {
    if (Date.now() > link.renewAt) await (renewing ??= renew())
    return new BlockBlobClient(link.url, requests)
  }

  return {
    /** Bytes by id of the blocks that lie there and are no blob yet. */
    async staged(): Promise<Map<string, number>> {
      try {
        const target = await blob()
        const { uncommittedBlocks = [] } = await target.getBlockList('uncommitted', { abortSignal: signal })
        return new Map(uncommittedBlocks.map(({ name, size }) => [name, size]))
      } catch (error) {
        if (error instanceof RestError && error.statusCode === 404) return new Map()
        throw explained(error)
      }
    },
    async stage(id: string, bytes: Buffer): Promise<void> {
      const md5 = createHash('md5').update(bytes).digest()
      try {
        const target = await blob()
        await target.stageBlock(id, bytes, bytes.length, {
          transactionalContentMD5: md5,
          abortSignal: signal,
        })
      } catch (error) {
        throw explained(error)
      }
    },
    /** Somebody who sent the same blocks meanwhile was as good. */
    async commit(ids: string[]): Promise<void> {
      try {
        const target = await blob()
        await target.commitBlockList(ids, { conditions: { ifNoneMatch: '*' }, abortSignal: signal })
      } catch (error) {
        if (!(error instanceof RestError && [409, 412].includes(error.statusCode ?? 0)))
          throw explained(error)
      }
    },
  }
}

function renewalOf({ expires }: Upload): number {
  const ends = Date.parse(expires)
  return ends - Math.min(renewBeforeMs, (ends - Date.now()) / 3)
}

async function readExactly(file: FileHandle, from: number, bytes: number, path: string): Promise<Buffer> {
  const buffer = Buffer.allocUnsafe(bytes)
  const { bytesRead } = await file.read(buffer, 0, bytes, from)
  if (bytesRead < bytes) throw changed(path)
  return buffer
}

const changed = (path: string) =>
  new ApiError({
    ...{ code: 'file-changed', status: null },
    detail: `${path} was changed while it was sent; send it again.`,
  })

/** Storage's own errors carry the whole link, signature and all. */
function explained(error: unknown): unknown {
  if (!(error instanceof RestError)) return error
  const { statusCode = null, code = 'storage' } = error
  const what = statusCode === null ? "Storage can't be reached" : `Storage refused it (${statusCode})`
  return new ApiError({
    ...{ code: statusCode === null ? 'unreachable' : 'storage-refused', status: statusCode },
    detail: `${what}: ${code}. Send it again: what is there already stays.`,
  })
}
