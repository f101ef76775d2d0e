import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'

/**
 * Temporary files. Each process owns the folder `<root>/<pid>`; what dead processes left is swept at the next start,
 * so a machine that is killed again and again does not fill its disk.
 */
export async function openScratch(root: string) {
  const own = join(root, String(process.pid))
  await sweepDead(root)
  await mkdir(own, { recursive: true })
  return {
    /** Runs `work` with a fresh folder that is gone afterwards, whatever happened. */
    async within<T>(name: string, work: (dir: string) => Promise<T>): Promise<T> {
      await mkdir(own, { recursive: true })
      const dir = await mkdtemp(join(own, `${name}-`))
      try {
        return await work(dir)
      } finally {
        await rm(dir, { recursive: true, force: true })
      }
    },
    close: () => rm(own, { recursive: true, force: true }),
  }
}
export type Scratch = Awaited<ReturnType<typeof openScratch>>

async function sweepDead(root: string) {
  const entries = await readdir(root).catch(() => [] as string[])
  const dead = entries.filter((entry) => /^\d+$/.test(entry) && !isAlive(Number(entry)))
  await Promise.all(dead.map((entry) => rm(join(root, entry), { recursive: true, force: true })))
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
