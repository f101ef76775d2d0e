import { statfs } from 'node:fs/promises'
import { join } from 'node:path'
import type { BlobItem } from '../../shared/blob-store.ts'
import { isListed } from '../../shared/blob-name.ts'
import { InputError, TransientError } from '../../shared/errors.ts'
import type { TableSource } from '../../shared/items/request.ts'
import type { JobSecret, JobSpec } from '../../shared/job.ts'
import type { SourceDeps } from './open-source.ts'

export type TableJob = {
  spec: JobSpec
  secret: JobSecret
  /** For files, gone afterwards. */
  dir: string
  signal: AbortSignal
  table: TableSource
}

/** A file of the table, fetched. */
type Fetched = { name: string; path: string }

const mostFiles = 100_000

/**
 * The files of a table, one after the other: each is there until the next one is asked for. Before the first one is fetched it is
 * known that all of them together are no larger than one source may be. Throws InputError, and TransientError where the disk has
 * no room, or a file changed since it was listed.
 */
export async function* tableFiles(deps: SourceDeps, job: TableJob): AsyncGenerator<Fetched> {
  const { media, sources } = deps
  const { spec, secret, dir, signal, table } = job
  const path = join(dir, 'table')
  if (table.prefix === undefined) {
    await sources.open(spec.source, secret.sourceQuery, path, signal)
    const { url } = spec.source
    yield { name: media.nameOf(url) ?? decodeURIComponent(url.slice(url.lastIndexOf('/') + 1)), path }
    return
  }
  for (const { name, bytes, etag, grows } of await listed(deps, table.prefix, signal)) {
    await expectRoom(dir, name, bytes)
    // What is appended while it is read belongs to nobody's plan.
    const version = grows ? { upTo: bytes } : { ifMatch: etag, most: bytes }
    await media.download(name, path, { ...version, signal }).catch((error: unknown) => {
      if (error instanceof Error && 'statusCode' in error && [404, 412].includes(Number(error.statusCode)))
        throw new TransientError(`the table ${name} changed while it was read`)
      throw error
    })
    yield { name, path }
  }
}

async function listed(
  { media, maxSourceBytes }: SourceDeps,
  prefix: string,
  signal: AbortSignal,
): Promise<Pick<BlobItem, 'name' | 'bytes' | 'etag' | 'grows'>[]> {
  const files = []
  let total = 0
  for await (const { name, bytes, etag, grows } of media.list(prefix)) {
    signal.throwIfAborted()
    if (bytes === 0 || !isListed(name, prefix)) continue
    total += bytes
    if (total > maxSourceBytes)
      throw new InputError(
        'source-too-large',
        `The files of the table, ${name} and those before it, have more than ${maxSourceBytes} bytes together, which is the limit.`,
      )
    files.push({ name, bytes, etag, grows })
    if (files.length > mostFiles)
      throw new InputError(
        'too-many-files',
        `The table has more than ${mostFiles} files, which is the limit.`,
      )
  }
  return files
}

async function expectRoom(dir: string, name: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(dir)
  if (bytes <= bavail * bsize) return
  const [want, have] = [bytes, bavail * bsize].map((size) => (size / 1e9).toFixed(2))
  throw new TransientError(
    `The table ${name} needs ${want} GB on the disk of ${dir}, where ${have} are free. Give it a larger disk, or set FRAMEFLEET_SCRATCH_DIR to one.`,
  )
}
