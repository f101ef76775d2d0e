import { readFile, readdir } from 'node:fs/promises'
import { childPids } from '../child-pids.ts'

/** A running process; the time it started, in ticks, tells it from a later one that got its number. */
export type Victim = { pid: number; name: string; started: string }

/** The process, unless it has ended. */
export async function findVictim(pid: number): Promise<Victim | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  // The program's name stands in brackets and may hold anything.
  const [head, tail] = [stat.slice(0, stat.lastIndexOf(')')), stat.slice(stat.lastIndexOf(')') + 2)]
  const fields = tail.split(' ')
  if (fields.length < 20 || fields[0] === 'Z') return undefined
  return { pid, name: head.slice(head.indexOf('(') + 1), started: fields[19] ?? '' }
}

/** Sends a signal, unless the process has ended meanwhile. */
export async function signal(victim: Victim, name: NodeJS.Signals): Promise<void> {
  const there = await findVictim(victim.pid)
  if (there?.started !== victim.started) return
  try {
    process.kill(victim.pid, name)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

export async function childrenOf(pid: number): Promise<Victim[]> {
  const found = await Promise.all((await childPids(pid)).map(findVictim))
  return found.filter((victim) => victim !== undefined)
}

/** Everything below a process. */
export async function descendantsOf(pid: number): Promise<Victim[]> {
  const children = await childrenOf(pid)
  return [...children, ...(await Promise.all(children.map((child) => descendantsOf(child.pid)))).flat()]
}

/** Command lines of other processes whose command line or environment names a folder. */
export async function processesWith(dir: string): Promise<string[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
  const found = await Promise.all(
    pids.map(async (pid) => {
      const read = async (file: string) => await readFile(`/proc/${pid}/${file}`, 'utf8').catch(() => '')
      const [command, env] = [await read('cmdline'), await read('environ')]
      return command !== '' && (command + env).includes(dir) ? [command.replaceAll('\0', ' ').trim()] : []
    }),
  )
  return found.flat()
}
