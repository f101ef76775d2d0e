import { readFile, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'

/** What a piece of work asked of storage. */
export type StorageUse = { operations: Record<string, number>; bytesWritten: number }

/**
 * Begins to count what the Azurite of a stack is asked: every request in its access log, and the bytes by which its
 * data grows, which it only ever appends to. Neither costs the work that is measured anything.
 */
export async function meterStorage(stackDir: string): Promise<{ read(): Promise<StorageUse> }> {
  const log = join(stackDir, 'logs', 'azurite.log')
  const extents = join(stackDir, 'azurite', '__blobstorage__')
  const logged = await settledSize(log)
  const before = await sizes(extents)
  return {
    async read() {
      await settledSize(log)
      const text = (await readFile(log)).subarray(logged).toString()
      const operations: Record<string, number> = {}
      for (const [, method = ''] of text.matchAll(/"([A-Z]+) \/\S* HTTP/g)) {
        operations[method] = (operations[method] ?? 0) + 1
      }
      const grown = [...(await sizes(extents))].map(([name, size]) => size - (before.get(name) ?? 0))
      return { operations, bytesWritten: grown.reduce((a, b) => a + b, 0) }
    },
  }
}

async function sizes(dir: string): Promise<Map<string, number>> {
  const names = await readdir(dir).catch(() => [])
  return new Map(
    await Promise.all(
      names.map(
        async (name) => [name, (await stat(join(dir, name)).catch(() => ({ size: 0 }))).size] as const,
      ),
    ),
  )
}

/** The log comes to its file through a pipe: a line may be on its way still. */
async function settledSize(path: string): Promise<number> {
  for (let last = -1; ;) {
    const { size } = await stat(path)
    if (size === last) return size
    last = size
    await wait(100)
  }
}
