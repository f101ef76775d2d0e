import { createHash, randomUUID } from 'node:crypto'
import { copyFile, link, mkdir, readdir, rename, rm, stat, statfs, utimes } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import lockfile from 'proper-lockfile'
import { TransientError } from './errors.ts'

/**
 * Files kept on this machine and shared by all its processes: sources by URL and ETag, models by sha256.
 *
 * A process that uses a file takes a hard link of its own into its scratch folder: eviction removes the cache's name
 * only, and the bytes live until the last user lets go. Downloads of the same key wait for each other.
 */
export type FileCache = ReturnType<typeof createFileCache>

export function createFileCache({ dir, maxBytes }: { dir: string; maxBytes: number }) {
  return {
    /**
     * Makes `use` a link to the cached file of `key`; on a miss `fetch` writes it first.
     * What `fetch` throws is thrown, and nothing stays behind.
     */
    async take(key: string, use: string, fetch: Fetch, signal?: AbortSignal): Promise<void> {
      await mkdir(dir, { recursive: true })
      const path = join(dir, createHash('sha256').update(key).digest('hex').slice(0, 40))
      while (!(await linkIfThere(path, use))) {
        signal?.throwIfAborted()
        const lock = await tryLock(path)
        // Somebody else is fetching it: look again in a while.
        if (!lock) await wait(100, undefined, { signal })
        else await fill(path, withRoom(dir, fetch), lock, signal)
      }
      await evict(dir, maxBytes)
    },
  }
}

/** Writes the file of a key to a path; must heed the signal. */
type Fetch = (to: string, signal: AbortSignal) => Promise<void>
type Lock = { lost: AbortSignal; release(): Promise<void> }

/** The right to fetch one key, unless another process has it. Its age tells a dead holder: a live one keeps touching it. */
async function tryLock(path: string): Promise<Lock | undefined> {
  const lost = new AbortController()
  try {
    const release = await lockfile.lock(path, {
      ...{ realpath: false, stale: 15_000 },
      onCompromised: (error) => lost.abort(new TransientError(`the cache's lock was lost: ${error.message}`)),
    })
    return { lost: lost.signal, release: async () => await release().catch(() => {}) }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ELOCKED') return undefined
    throw error
  }
}

async function fill(
  path: string,
  fetch: Fetch,
  { lost, release }: Lock,
  signal?: AbortSignal,
): Promise<void> {
  const partial = `${path}.${randomUUID()}.partial`
  try {
    // It may have come between our look and our lock.
    if (await exists(path)) return
    await fetch(partial, signal ? AbortSignal.any([lost, signal]) : lost)
    lost.throwIfAborted()
    await rename(partial, path)
  } finally {
    await rm(partial, { force: true })
    await release()
  }
}

/** Where the disk is full, what nobody uses goes first, and the fetch is tried once more. */
function withRoom(dir: string, fetch: Fetch): Fetch {
  return async (to, signal) => {
    try {
      await fetch(to, signal)
    } catch (error) {
      if (!isFull(error)) throw error
      await rm(to, { force: true })
      await evict(dir, 0, { unused: true })
      await fetch(to, signal).catch(async (again: unknown) => {
        throw isFull(again) ? await diskFull(dir, again) : again
      })
    }
  }
}

const isFull = (error: unknown) =>
  ['ENOSPC', 'EDQUOT'].includes((error as NodeJS.ErrnoException | undefined)?.code ?? '')

/** Retried: a disk empties as batches end, and another machine has room. */
async function diskFull(dir: string, cause: unknown): Promise<TransientError> {
  const { blocks, bavail, bsize } = await statfs(dir)
  const [free, all] = [bavail * bsize, blocks * bsize].map((bytes) => (bytes / 1e9).toFixed(2))
  return new TransientError(
    `The disk of ${dir} is full: ${free} of ${all} GB are free, and nothing in the cache is unused. Give it a larger disk, or set FRAMEFLEET_CACHE_DIR and FRAMEFLEET_SCRATCH_DIR to one.`,
    { cause },
  )
}

const exists = async (path: string) => (await stat(path).catch(() => undefined)) !== undefined

async function linkIfThere(path: string, use: string): Promise<boolean> {
  try {
    await link(path, use)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EEXIST') return true
    if (code === 'ENOENT') return false
    // The scratch folder is on another disk: a copy does as well, and costs its time.
    if (code !== 'EXDEV') throw error
    await copyFile(path, use).catch(async (failed: unknown) => {
      await rm(use, { force: true })
      throw isFull(failed) ? await diskFull(dirname(use), failed) : failed
    })
  }
  // The time of last use is what eviction goes by.
  const now = new Date()
  await utimes(path, now, now).catch(() => {})
  return true
}

/** Removes the files longest unused until the folder is within its limit, and partial files an hour old; with `unused` only what nobody has a link to. */
async function evict(dir: string, maxBytes: number, { unused = false } = {}) {
  const files = []
  for (const name of await readdir(dir)) {
    const found = await stat(join(dir, name)).catch(() => undefined)
    // One that is in use would not free a byte.
    if (unused && (found?.nlink ?? 0) > 1) continue
    if (found?.isFile()) files.push({ path: join(dir, name), bytes: found.size, usedAt: found.mtimeMs })
  }
  let total = files.reduce((sum, file) => sum + file.bytes, 0)
  for (const file of files.sort((a, b) => a.usedAt - b.usedAt)) {
    const abandoned = file.path.endsWith('.partial') && file.usedAt < Date.now() - 3_600_000
    if (total <= maxBytes && !abandoned) continue
    if (file.path.endsWith('.partial') && !abandoned) continue
    await rm(file.path, { force: true })
    total -= file.bytes
  }
}
