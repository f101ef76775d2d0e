import { RestError } from '@azure/storage-blob'
import type { BlobStore } from './blob-store.ts'

/** Append blobs take 50,000 blocks; a blob of 64 MB is still quick to search. */
const mostBlocks = 40_000
const mostBytes = 64 << 20

export type AppendedLog = ReturnType<typeof createAppendedLog>

type Open = { day: string; bytes: number; blocks: number; blob: ReturnType<BlobStore['appendBlob']> }

/**
 * Bytes appended to blobs of the day, each where the one before it ended.
 *
 *   none ──bytes──► open ──another day, full, gone, or not where we left it──► none        each one has the next number
 *
 * An append whose answer was lost is to be called again with the same bytes: it is not taken twice.
 */
export function createAppendedLog(
  system: BlobStore,
  nameOf: (day: string, number: number) => string,
  { now = Date.now, mostBlocks: blocksEach = mostBlocks, mostBytes: bytesEach = mostBytes } = {},
) {
  let open: Open | undefined
  let unsure: Buffer | undefined
  let numbers = 0

  async function blobFor(block: Buffer, abortSignal: AbortSignal | undefined): Promise<Open> {
    // It may lie in that blob already, whatever day it is now.
    if (open && block === unsure) return open
    const day = new Date(now()).toISOString().slice(0, 10)
    const isFull = open && (open.blocks >= blocksEach || open.bytes + block.length > bytesEach)
    if (open && open.day === day && !isFull) return open
    const blob = system.appendBlob(nameOf(day, numbers))
    await blob.createIfNotExists({
      blobHTTPHeaders: { blobContentType: 'application/x-ndjson' },
      abortSignal,
    })
    numbers += 1
    open = { day, bytes: 0, blocks: 0, blob }
    return open
  }

  return {
    /** Throws what storage threw; the same bytes may then be tried again. */
    async append(bytes: Buffer, abortSignal?: AbortSignal): Promise<void> {
      const to = await blobFor(bytes, abortSignal)
      unsure = bytes
      try {
        await to.blob.appendBlock(bytes, bytes.length, {
          conditions: { appendPosition: to.bytes },
          abortSignal,
        })
      } catch (error) {
        const { statusCode } = error instanceof RestError ? error : {}
        const isElsewhere = statusCode === 412
        // An earlier try was taken, though its answer was lost.
        const isTaken = isElsewhere && (await lengthOf(to, abortSignal)) === to.bytes + bytes.length
        if (!isTaken) {
          if (isElsewhere || statusCode === 404 || statusCode === 409) open = undefined
          throw error
        }
      }
      to.bytes += bytes.length
      to.blocks += 1
      unsure = undefined
    },
  }
}

const lengthOf = async ({ blob }: Open, abortSignal: AbortSignal | undefined) =>
  (await blob.getProperties({ abortSignal })).contentLength
