import { createHash, randomUUID } from 'node:crypto'
import { copyFile, link, mkdir, readdir, rename, rm, stat, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import lockfile from 'proper-lockfile'

/**
 * Files kept on this machine and shared by all its processes: sources by URL and ETag, models by sha256.
 *
 * A process that uses a file takes a hard link of its own into its scratch folder: eviction removes the cache's name
 * only, and the bytes live until the last user lets go. Downloads of the same key wait for each other.
 */
export type FileCache = ReturnType<typeof createFileCache>

export function createFileCache({ dir, maxBytes }: { dir: string; maxBytes: number }) {
  async function fill(path: string, fetch: (to: string) => Promise<void>) {
    const partial = `${path}.${randomUUID()}.partial`
    try {
      await fetch(partial)
      await rename(partial, path)
    } finally {
      await rm(partial, { force: true })
    }
  }

  return {
    /**
     * Makes `use` a link to the cached file of `key`; on a miss `fetch` writes it first.
     * What `fetch` throws is thrown, and nothing stays behind.
     */
    async take(key: string, use: string, fetch: (to: string) => Promise<void>): Promise<void> {
      await mkdir(dir, { recursive: true })
      const path = join(dir, createHash('sha256').update(key).digest('hex').slice(0, 40))
      if (await linkIfThere(path, use)) return
      // The lock's age tells a dead holder from a slow one: a live one touches it every few seconds.
      const release = await lockfile.lock(path, {
        realpath: false,
        stale: 15_000,
        retries: { forever: true, minTimeout: 50, maxTimeout: 500, factor: 1.5 },
      })
      try {
        if (await linkIfThere(path, use)) return
        await fill(path, fetch)
        if (!(await linkIfThere(path, use)))
          throw new Error(`the cache lost ${path} while it was being filled`)
      } finally {
        await release()
      }
      await evict(dir, maxBytes)
    },
  }
}

async function linkIfThere(path: string, use: string): Promise<boolean> {
  try {
    await link(path, use)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EEXIST') return true
    if (code === 'ENOENT') return false
    // The scratch folder is on another disk: a copy does as well, and costs its time.
    if (code !== 'EXDEV') throw error
    await copyFile(path, use)
  }
  // The time of last use is what eviction goes by.
  const now = new Date()
  await utimes(path, now, now).catch(() => {})
  return true
}

/** Removes the files longest unused until the folder is within its limit, and partial files an hour old. */
async function evict(dir: string, maxBytes: number) {
  const files = []
  for (const name of await readdir(dir)) {
    const found = await stat(join(dir, name)).catch(() => undefined)
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
