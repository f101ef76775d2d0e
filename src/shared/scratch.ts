import { mkdir, mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'

/**
 * Temporary files. Each process owns the folder `<root>/<host>.<pid>.<start>`; what dead processes left is swept at the
 * next start, and every minute by the others, so a machine that is killed again and again does not fill its disk.
 */
export async function openScratch(root: string, sweepEveryMs = 15_000) {
  const folder = `${host}.${process.pid}.${Math.round(performance.timeOrigin)}`
  const own = join(root, folder)
  await sweep(root, folder)
  await mkdir(own, { recursive: true })
  const timer = setInterval(() => void sweep(root, folder).catch(() => {}), sweepEveryMs).unref()
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
    async close(): Promise<void> {
      clearInterval(timer)
      await rm(own, { recursive: true, force: true })
    },
  }
}
export type Scratch = Awaited<ReturnType<typeof openScratch>>

const host = hostname().replaceAll('.', '-')
const dayMs = 86_400_000

/**
 * Removes what is nobody's: folders of dead processes of this host (a container that starts again has its old pid, but
 * another start), and those of other hosts that share the disk once they are untouched for a day.
 */
async function sweep(root: string, own: string) {
  for (const entry of await readdir(root).catch(() => [] as string[])) {
    if (entry === own) continue
    const [from, pid] = entry.split('.')
    const dead = from === host && (Number(pid) === process.pid || !isAlive(Number(pid)))
    const path = join(root, entry)
    const old = ((await stat(path).catch(() => undefined))?.mtimeMs ?? Infinity) < Date.now() - dayMs
    if (dead || (from !== host && old)) await rm(path, { recursive: true, force: true })
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
