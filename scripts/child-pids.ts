import { readFile, readdir } from 'node:fs/promises'

/**
 * The processes that a process started, as Linux tells; none of one that is gone. Linux counts them by the thread that
 * started them, and which thread that is is nobody's business.
 */
export async function childPids(pid: number): Promise<number[]> {
  const threads = await readdir(`/proc/${pid}/task`).catch(() => [])
  const lists = await Promise.all(
    threads.map((thread) => readFile(`/proc/${pid}/task/${thread}/children`, 'utf8').catch(() => '')),
  )
  return lists.flatMap((list) => list.split(' ').filter(Boolean).map(Number))
}
