import { buffer } from 'node:stream/consumers'
import { DefaultAzureCredential } from '@azure/identity'
import { BlobServiceClient, type ContainerClient, RestError } from '@azure/storage-blob'
import type { z } from 'zod'
import { InputError } from './errors.ts'
import { publicUrl } from './redact.ts'

export type BlobHead = { etag: string; bytes: number; metadata: Record<string, string> }

export type BlobStore = ReturnType<typeof createBlobStore>

/** Blobs that one request may delete. */
const batchLimit = 256

const uploadOptions = { blockSize: 8 << 20, concurrency: 4 }

/** How to reach an account; every form the settings allow. No key is ever part of the URL that is handed on. */
export function connectAccount(account: string): BlobServiceClient {
  // Shorter than the SDK's minutes: the queues try again as well. No time limit on a try: the SDK hands it to the
  // service, which would cut a long download off.
  const options = { retryOptions: { maxTries: 4, retryDelayInMs: 500, maxRetryDelayInMs: 8_000 } }
  if (/^[A-Za-z]+=/.test(account)) return BlobServiceClient.fromConnectionString(account, options)
  const hasSas = new URL(account).searchParams.has('sig')
  return hasSas
    ? new BlobServiceClient(account, undefined, options)
    : new BlobServiceClient(account, new DefaultAzureCredential(), options)
}

/** One container of one account. Names are paths without a leading slash. */
export function createBlobStore(service: BlobServiceClient, containerName: string) {
  const container: ContainerClient = service.getContainerClient(containerName)
  const blob = (name: string) => container.getBlockBlobClient(name)

  async function head(name: string): Promise<BlobHead | undefined> {
    try {
      const found = await blob(name).getProperties()
      return { etag: found.etag ?? '', bytes: found.contentLength ?? 0, metadata: found.metadata ?? {} }
    } catch (error) {
      if (isStatus(error, 404)) return undefined
      throw error
    }
  }

  async function read(name: string): Promise<Buffer | undefined> {
    try {
      // One request: downloadToBuffer would first ask for the size.
      const { readableStreamBody } = await blob(name).download(0, undefined, { maxRetryRequests: 3 })
      return readableStreamBody && (await buffer(readableStreamBody))
    } catch (error) {
      if (isStatus(error, 404)) return undefined
      throw error
    }
  }

  return {
    url: (name: string) => publicBlobUrl(container.url, name),
    /** The blob's name when `url` is a blob of this container, else undefined. */
    nameOf(url: string): string | undefined {
      const base = `${publicBlobUrl(container.url, '')}/`
      const plain = publicUrl(url)
      if (!plain.startsWith(base) || plain.length === base.length) return undefined
      try {
        return decodeURIComponent(plain.slice(base.length))
      } catch {
        // Not well escaped, so not the name of anything.
        return undefined
      }
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
    /** Writes JSON. With `ifAbsent` the first writer wins: answers false when the blob was there already. */
    writeJson: (name: string, value: unknown, options: { ifAbsent?: boolean } = {}) =>
      write(name, Buffer.from(JSON.stringify(value)), { ...options, contentType: 'application/json' }),
    write,
    /** Uploads a file in blocks that become the blob all at once. With `ifAbsent` the first writer wins. */
    async uploadFile(
      name: string,
      path: string,
      { contentType, metadata, ifAbsent = false, signal }: UploadOptions = {},
    ) {
      const upload = blob(name).uploadFile(path, {
        ...uploadOptions,
        conditions: ifAbsent ? { ifNoneMatch: '*' } : undefined,
        blobHTTPHeaders: { blobContentType: contentType },
        metadata,
        abortSignal: signal,
      })
      await upload.catch((error: unknown) => {
        if (!ifAbsent || !isTaken(error)) throw error
      })
    },
    /** Downloads into a file; with `ifMatch` only that version: a changed blob throws a 412. */
    async download(
      name: string,
      path: string,
      { ifMatch, signal }: { ifMatch?: string; signal?: AbortSignal } = {},
    ) {
      await blob(name).downloadToFile(path, 0, undefined, {
        conditions: { ifMatch },
        abortSignal: signal,
        maxRetryRequests: 3,
      })
    },
    async openRead(name: string): Promise<NodeJS.ReadableStream | undefined> {
      try {
        return (await blob(name).download()).readableStreamBody
      } catch (error) {
        if (isStatus(error, 404)) return undefined
        throw error
      }
    },
    async *list(
      prefix: string,
    ): AsyncGenerator<{ name: string; bytes: number; metadata: Record<string, string> }> {
      for await (const item of container.listBlobsFlat({ prefix, includeMetadata: true })) {
        yield { name: item.name, bytes: item.properties.contentLength ?? 0, metadata: item.metadata ?? {} }
      }
    },
    /** Removes these blobs, as far as they are there; many in one request. */
    async remove(names: string[]) {
      for (let from = 0; from < names.length; from += batchLimit) {
        const blobs = names.slice(from, from + batchLimit).map(blob)
        const { subResponses } = await container.getBlobBatchClient().deleteBlobs(blobs)
        const failed = subResponses.find(({ status }) => status >= 300 && status !== 404)
        if (failed)
          throw new RestError(`deleting blobs: ${failed.statusMessage}`, { statusCode: failed.status })
      }
    },
    async isReachable(): Promise<boolean> {
      return await container.exists()
    },
  }

  async function write(
    name: string,
    bytes: Buffer,
    { ifAbsent = false, contentType }: WriteOptions = {},
  ): Promise<boolean> {
    try {
      await blob(name).upload(bytes, bytes.length, {
        conditions: ifAbsent ? { ifNoneMatch: '*' } : undefined,
        blobHTTPHeaders: { blobContentType: contentType },
      })
      return true
    } catch (error) {
      if (ifAbsent && isTaken(error)) return false
      throw error
    }
  }
}

type WriteOptions = { ifAbsent?: boolean; contentType?: string }
type UploadOptions = WriteOptions & { metadata?: Record<string, string>; signal?: AbortSignal }

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
