import { createWriteStream } from 'node:fs'
import type { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import {
  AnonymousCredential,
  type BlobItem as ListedBlob,
  BlobServiceClient,
  BlockBlobClient,
  type ContainerClient,
  RestError,
  newPipeline,
} from '@azure/storage-blob'
import pMap from 'p-map'
import type { z } from 'zod'
import { addressable, isAddressable, isPlainName, unescaped } from './blob-name.ts'
import { InputError, TransientError } from './errors.ts'
import { azureCredential } from './identity.ts'
import { publicUrl } from './redact.ts'
import { readSteadily } from './steady-read.ts'
import { storagePatience } from './storage-patience.ts'

export type BlobHead = {
  etag: string
  bytes: number
  modified: Date
  metadata: Record<string, string>
  /** Whether it is being copied from elsewhere, and not whole yet. */
  copying: boolean
}

export type BlobItem = {
  name: string
  bytes: number
  modified: Date
  metadata: Record<string, string>
  etag: string
  /** Whether it is one that is appended to. */
  grows: boolean
}

export type BlobStore = ReturnType<typeof createBlobStore>

/** Blobs that one request may delete. */
const batchLimit = 256

const uploadOptions = { blockSize: 8 << 20, concurrency: 4 }

/** How to reach an account; every form the settings allow. No key is ever part of the URL that is handed on. */
export function connectAccount(account: string, { answerWithinMs = 30_000 } = {}): BlobServiceClient {
  const { url, credential } = open(account)
  return new BlobServiceClient(url, patiently(credential, answerWithinMs))
}

/** One blob of any account, by a URL with a SAS. */
export function connectBlob(urlWithSas: string): BlockBlobClient {
  return new BlockBlobClient(urlWithSas, patiently(new AnonymousCredential(), 30_000))
}

function patiently(credential: Parameters<typeof newPipeline>[0], answerWithinMs: number) {
  // Shorter than the SDK's minutes: the queues try again as well. No time limit on a try: the SDK hands it to the
  // service, which would cut a long download off.
  const options = { retryOptions: { maxTries: 4, retryDelayInMs: 500, maxRetryDelayInMs: 8_000 } }
  const requests = newPipeline(credential, options)
  requests.factories.push(storagePatience(answerWithinMs))
  return requests
}

function open(account: string) {
  if (/^[A-Za-z]+=/.test(account)) return BlobServiceClient.fromConnectionString(account)
  const hasSas = new URL(account).searchParams.has('sig')
  return { url: account, credential: hasSas ? new AnonymousCredential() : azureCredential() }
}

/**
 * One container of one account. Names are paths without a leading slash; one that would lead to another blob is refused with
 * InputError `bad-name`.
 */
export function createBlobStore(
  service: BlobServiceClient,
  containerName: string,
  { idleMs }: { idleMs?: number } = {},
) {
  const container: ContainerClient = service.getContainerClient(containerName)
  const blob = (name: string) => container.getBlockBlobClient(addressable(name))

  async function head(name: string): Promise<BlobHead | undefined> {
    try {
      const found = await blob(name).getProperties()
      return {
        etag: found.etag ?? '',
        bytes: found.contentLength ?? 0,
        modified: found.lastModified ?? new Date(0),
        metadata: found.metadata ?? {},
        copying: found.copyStatus === 'pending',
      }
    } catch (error) {
      if (isStatus(error, 404)) return undefined
      throw error
    }
  }

  async function read(name: string, options: ReadOptions = {}): Promise<Buffer | undefined> {
    try {
      return await buffer(bytesOf(name, options))
    } catch (error) {
      if (isStatus(error, 404)) return undefined
      throw error
    }
  }

  /** All bytes of one version of a blob, in one request if all goes well; `ifMatch` says which. */
  function bytesOf(name: string, { ifMatch, most = Infinity, tooMany, upTo, signal }: ReadOptions = {}) {
    let etag = ifMatch
    const open = async (from: number, stop: AbortSignal) => {
      const answer = await blob(name).download(from, upTo === undefined ? undefined : upTo - from, {
        conditions: { ifMatch: etag },
        abortSignal: stop,
        // The SDK takes a connection that was reset for one that we broke off; we go on ourselves.
        maxRetryRequests: 0,
      })
      if (upTo === undefined) etag ??= answer.etag
      const body = answer.readableStreamBody as Readable
      const bytes = from + (answer.contentLength ?? 0)
      if (bytes <= most) return { body, bytes }
      body.destroy()
      throw (
        tooMany?.(bytes) ??
        new TransientError(`the blob ${name} has ${bytes} bytes, more than the ${most} it had`)
      )
    }
    return readSteadily({ what: `the blob ${name}`, open, signal, idleMs })
  }

  return {
    url: (name: string) => publicBlobUrl(container.url, name),
    /** The blob's name when `url` is a blob of this container with a plain name, else undefined. */
    nameOf(url: string): string | undefined {
      const base = `${publicBlobUrl(container.url, '')}/`
      const plain = publicUrl(url)
      if (!plain.startsWith(base)) return undefined
      // Where it is not well escaped it is the name of nothing.
      const name = unescaped(plain.slice(base.length))
      // Escapes may hide what leads elsewhere once they are undone.
      return name !== undefined && isPlainName(name) ? name : undefined
    },
    head,
    read,
    ensureContainer: () => container.createIfNotExists(),
    async readJson<Schema extends z.ZodType>(
      name: string,
      schema: Schema,
    ): Promise<z.infer<Schema> | undefined> {
      const bytes = await read(name)
      return bytes && schema.parse(JSON.parse(bytes.toString('utf8')))
    },
    /**
     * Writes JSON. With `ifAbsent` the first writer wins: answers false when the blob was there already. With `ifMatch`
     * only over that version: answers false when it is another one by now.
     */
    writeJson: (name: string, value: unknown, options: { ifAbsent?: boolean; ifMatch?: string } = {}) =>
      write(name, Buffer.from(JSON.stringify(value)), { ...options, contentType: 'application/json' }),
    write,
    /**
     * Uploads a file in blocks that become the blob all at once. With `ifAbsent` the first writer wins: answers false when the
     * blob was there already.
     */
    async uploadFile(
      name: string,
      path: string,
      { contentType, metadata, ifAbsent = false, signal }: UploadOptions = {},
    ): Promise<boolean> {
      const upload = blob(name).uploadFile(path, {
        ...uploadOptions,
        conditions: ifAbsent ? { ifNoneMatch: '*' } : undefined,
        blobHTTPHeaders: { blobContentType: contentType },
        metadata,
        abortSignal: signal,
      })
      try {
        await upload
        return true
      } catch (error) {
        if (!ifAbsent || !isTaken(error)) throw error
        return false
      }
    },
    /**
     * Downloads into a file; with `ifMatch` only that version: a changed blob throws a 412. One of more than `most` bytes
     * throws TransientError, or what `tooMany` makes of its bytes. With `upTo`, of a blob that grows, only so many bytes, whatever has been appended since.
     */
    async download(name: string, path: string, options: ReadOptions = {}) {
      await pipeline(bytesOf(name, options), createWriteStream(path))
    },
    /** The bytes of one version of a blob, as they come. What falls silent is given up; throws a 404 where there is none. */
    chunks: bytesOf,
    async openRead(name: string): Promise<NodeJS.ReadableStream | undefined> {
      try {
        return (await blob(name).download()).readableStreamBody
      } catch (error) {
        if (isStatus(error, 404)) return undefined
        throw error
      }
    },
    async *list(prefix: string): AsyncGenerator<BlobItem> {
      for await (const item of container.listBlobsFlat({ prefix, includeMetadata: true })) yield itemOf(item)
    },
    /**
     * One request's worth of a listing, in the order of names, and where the next one goes on; nothing after the last. `at`
     * is when that was, by the clock that `modified` is told by.
     */
    async listPage(
      prefix: string,
      { from, size = 5_000 }: { from?: string; size?: number } = {},
    ): Promise<{ items: BlobItem[]; next?: string; at?: Date }> {
      const pages = container.listBlobsFlat({ prefix }).byPage({ maxPageSize: size, continuationToken: from })
      for await (const { segment, continuationToken, date } of pages) {
        return { items: segment.blobItems.map(itemOf), next: continuationToken || undefined, at: date }
      }
      return { items: [] }
    },
    /**
     * Removes these blobs, as far as they are there; many in one request. A request for many needs the right to write
     * containers on top of that to delete blobs: one alone goes without. A name that would lead to another blob is passed over:
     * listed, it may be anybody's.
     */
    async remove(listed: string[]) {
      const names = listed.filter(isAddressable)
      const [only] = names
      if (only !== undefined && names.length === 1) {
        await blob(only)
          .delete()
          .catch((error: unknown) => {
            if (!isStatus(error, 404)) throw error
          })
        return
      }
      const batches = Array.from({ length: Math.ceil(names.length / batchLimit) }, (_, i) =>
        names.slice(i * batchLimit, (i + 1) * batchLimit),
      )
      await pMap(
        batches,
        async (batch) => {
          const { subResponses } = await container.getBlobBatchClient().deleteBlobs(batch.map(blob))
          const failed = subResponses.find(({ status }) => status >= 300 && status !== 404)
          if (failed)
            throw new RestError(`deleting blobs: ${failed.statusMessage}`, { statusCode: failed.status })
        },
        { concurrency: 4 },
      )
    },
    appendBlob: (name: string) => container.getAppendBlobClient(addressable(name)),
    async isReachable(): Promise<boolean> {
      return await container.exists()
    },
  }

  async function write(
    name: string,
    bytes: Buffer,
    { ifAbsent = false, ifMatch, contentType, metadata }: WriteOptions & { ifMatch?: string } = {},
  ): Promise<boolean> {
    try {
      await blob(name).upload(bytes, bytes.length, {
        conditions: ifAbsent ? { ifNoneMatch: '*' } : { ifMatch },
        blobHTTPHeaders: { blobContentType: contentType },
        metadata,
      })
      return true
    } catch (error) {
      if ((ifAbsent || ifMatch !== undefined) && isTaken(error)) return false
      throw error
    }
  }
}

type ReadOptions = {
  ifMatch?: string
  most?: number
  tooMany?: (bytes: number) => Error
  upTo?: number
  signal?: AbortSignal
}
type WriteOptions = { ifAbsent?: boolean; contentType?: string; metadata?: Record<string, string> }
type UploadOptions = WriteOptions & { signal?: AbortSignal }

const itemOf = ({ name, properties, metadata }: ListedBlob): BlobItem => ({
  name,
  bytes: properties.contentLength ?? 0,
  modified: properties.lastModified,
  metadata: metadata ?? {},
  // Listed without its quotes, which a condition has.
  etag: properties.etag.startsWith('"') ? properties.etag : `"${properties.etag}"`,
  grows: properties.blobType === 'AppendBlob',
})

const isTaken = (error: unknown) => isStatus(error, 409) || isStatus(error, 412)

function isStatus(error: unknown, status: number): boolean {
  return error instanceof RestError && error.statusCode === status
}

/** Turns the answers of a storage account that are the request's fault into one clear sentence. */
export function explainStorage(error: unknown, url: string): unknown {
  if (isStatus(error, 404)) return sourceMissing(url, 404)
  if (isStatus(error, 403) || isStatus(error, 401)) return sourceForbidden(url, 403)
  if (isStatus(error, 412)) return sourceChanged(url)
  return error
}

export const sourceMissing = (url: string, status: number) =>
  new InputError('source-not-found', `The source ${url} is not there (${status}). Check the URL.`)
export const sourceForbidden = (url: string, status: number) =>
  new InputError(
    'source-forbidden',
    `The source ${url} may not be read (${status}). Check the SAS, or that the producer's identity may read the container.`,
  )
export const sourceChanged = (url: string) =>
  new InputError('source-changed', `The source ${url} changed after the job was accepted. Submit it again.`)

function publicBlobUrl(containerUrl: string, name: string): string {
  const { origin, pathname } = new URL(containerUrl)
  const path = name.split('/').map(encodeURIComponent).join('/')
  return `${origin}${pathname}${path === '' ? '' : `/${path}`}`
}
