import { readFile } from 'node:fs/promises'
import { childPids } from '../scripts/child-pids.ts'
import type { Service } from '../src/shared/role-process.ts'

/** What Linux tells of running processes, under /proc. Elsewhere there is none of it, and every figure is missing. */
type Process = { pid: number; role: string }

/** Linux counts CPU time in ticks of 10 ms for every architecture we run on. */
const ticksPerSecond = 100
const everyMs = 250

/**
 * The processes of a stack by what they are: a worker's child is an `engine`, and everything that decodes or encodes is
 * `ffmpeg`, whoever started it.
 */
async function processesOf(services: Service[]): Promise<Process[]> {
  const found = services.map(async ({ name, process }) =>
    process.pid === undefined ? [] : await family(process.pid, name.replace(/-\d+$/, '')),
  )
  return (await Promise.all(found)).flat()
}

async function family(pid: number, role: string): Promise<Process[]> {
  const below = (await childPids(pid)).map(async (child) => {
    const isMedia = /^ff(?:mpeg|probe)$/.test((await read(child, 'comm')).trim())
    return await family(child, isMedia ? 'ffmpeg' : role === 'worker' ? 'engine' : role)
  })
  return [{ pid, role }, ...(await Promise.all(below)).flat()]
}

const read = async (pid: number | 'self', file: string) =>
  await readFile(`/proc/${pid}/${file}`, 'utf8').catch(() => '')

export type MemoryWatch = { stop(): Promise<Record<string, number>> }

/** The most resident memory that any process of each role ever had, in MB, as the kernel itself keeps it. */
export function watchMemory(services: () => Service[]): MemoryWatch {
  const peaks: Record<string, number> = {}
  const look = async () => {
    for (const { pid, role } of await processesOf(services())) {
      const [, kilobytes] = /VmHWM:\s+(\d+)/.exec(await read(pid, 'status')) ?? []
      const peak = Number(kilobytes ?? 0) / 1024
      peaks[role] = Math.max(peaks[role] ?? 0, peak)
    }
  }
  // Programs that live for a moment only are caught in passing; the kernel's mark serves for all others.
  let looking = Promise.resolve()
  const timer = setInterval(() => {
    looking = looking.then(look)
  }, everyMs)
  return {
    async stop() {
      clearInterval(timer)
      await looking.then(look)
      return peaks
    },
  }
}

/** CPU seconds so far: of the process itself, and of its children that have ended. */
async function cpuSeconds(pid: number | 'self'): Promise<{ own: number; children: number }> {
  const stat = await read(pid, 'stat')
  // The name of the program comes second, in brackets, and may hold anything.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const seconds = (first: number) => (Number(fields[first]) + Number(fields[first + 1])) / ticksPerSecond
  return { own: seconds(11), children: seconds(13) }
}

/** CPU seconds that this process's children, such as ffmpeg, have taken, once they have ended. */
export async function cpuOfChildren(): Promise<number> {
  return (await cpuSeconds('self')).children
}

/** CPU seconds that a stack has taken so far, by role. */
export async function cpuByRole(services: Service[]): Promise<Record<string, number>> {
  const sums: Record<string, number> = {}
  const add = (role: string, seconds: number) => {
    sums[role] = (sums[role] ?? 0) + seconds
  }
  for (const { pid, role } of await processesOf(services)) {
    const { own, children } = await cpuSeconds(pid)
    add(role, own)
    // Only ffmpeg comes and goes while a stack runs.
    if (role !== 'ffmpeg') add(role === 'engine' ? 'ffmpeg' : `${role}: ffmpeg`, children)
  }
  return sums
}
