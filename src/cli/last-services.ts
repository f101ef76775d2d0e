import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { setTimeout as pause } from 'node:timers/promises'
import { promisify } from 'node:util'
import { InputError } from '../shared/errors.ts'
import { isFree } from './services.ts'

/**
 * What a stack that was killed has left running for a moment, or, where the system does not end what lost its parent, for
 * ever. Only one may have the data.
 */
const patienceMs = 20_000
const lookAgainMs = 100

/** Ends the Redis that a stack of this folder left behind, and waits until it is gone; throws where it does not go. */
export async function endLastRedis(pidFile: string, portFile: string): Promise<void> {
  const [pid, port] = await Promise.all([numberIn(pidFile), numberIn(portFile)])
  if (!pid || !port) return
  const until = performance.now() + patienceMs
  for (let asked = false; await isRedis(pid, port); asked = true) {
    if (performance.now() > until)
      throw new InputError(
        'redis-left',
        `The Redis of the last start still runs as process ${pid}, and does not end.`,
      )
    if (!asked) kill(pid)
    await pause(lookAgainMs)
  }
}

/** A process of that number may be another one by now; Redis says in its title where it listens. */
async function isRedis(pid: number, port: number): Promise<boolean> {
  const title = await promisify(execFile)('ps', ['-p', String(pid), '-o', 'args=']).catch(() => undefined)
  return title?.stdout.includes(`redis-server 127.0.0.1:${port}`) ?? false
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGTERM')
  } catch {
    // It has gone meanwhile.
  }
}

/** Resolves once nobody listens there; throws where somebody goes on to. */
export async function vacant(port: number, portFile: string): Promise<void> {
  const until = performance.now() + patienceMs
  while (!(await isFree(port))) {
    if (performance.now() > until)
      throw new InputError(
        'port-taken',
        `Port ${port} of this folder's storage is taken by another program: stop that, or delete ${portFile} for another port, by which the URLs of videos here change.`,
      )
    await pause(lookAgainMs)
  }
}

const numberIn = async (path: string) => Number(await readFile(path, 'utf8').catch(() => ''))
