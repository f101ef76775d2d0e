import { type ChildProcess, fork } from 'node:child_process'
import { open } from 'node:fs/promises'

/** A program that runs beside us, and dies with us. */
export type Service = { name: string; process: ChildProcess; stop(graceMs: number): Promise<void> }

/** A role that is not ready by then can't reach its Redis or storage. */
const startLimitMs = 60_000

type RoleSpec = {
  name: string
  main: URL
  env: NodeJS.ProcessEnv
  logFile: string
  /** Ends it while it is still starting. */
  signal?: AbortSignal
}

/** Starts a role as a process of its own and resolves when it is ready. Its log lines go to a file. */
export async function startRole({ name, main, env, logFile, signal }: RoleSpec): Promise<Service> {
  const log = await open(logFile, 'a')
  // A process group of its own: Ctrl-C on the terminal is for us to pass on, in order.
  const child = fork(main, { env, stdio: ['ignore', log.fd, log.fd, 'ipc'], detached: true })
  // What it started goes when it goes, as in a container: an engine that hangs would never notice.
  child.once('exit', () => killGroup(child))
  const limit = setTimeout(() => child.kill('SIGKILL'), startLimitMs)
  const cancel = stopOn(signal, child)
  try {
    await new Promise<void>((resolve, reject) => {
      child.once('message', () => resolve())
      child.once('error', reject)
      child.once('exit', (code) =>
        reject(new Error(`the ${name} ended (${code}) before it was ready; see ${logFile}`)),
      )
    })
  } finally {
    clearTimeout(limit)
    cancel()
    await log.close()
  }
  return { name, process: child, stop: async (graceMs) => await stopProcess(child, graceMs) }
}

const cancelGraceMs = 5_000

/** Stops a process that is still starting when the signal says so; answers how to have it look away again. */
export function stopOn(signal: AbortSignal | undefined, child: ChildProcess): () => void {
  const stop = () => void stopProcess(child, cancelGraceMs)
  if (signal?.aborted) stop()
  else signal?.addEventListener('abort', stop, { once: true })
  return () => signal?.removeEventListener('abort', stop)
}

function killGroup({ pid }: ChildProcess): void {
  try {
    if (pid !== undefined) process.kill(-pid, 'SIGKILL')
  } catch {
    // Nobody is left in it, as it should be.
  }
}

/** SIGTERM, then SIGKILL when it takes too long. Resolves once the process is gone. */
export async function stopProcess(child: ChildProcess, graceMs: number): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  child.kill('SIGTERM')
  const force = setTimeout(() => child.kill('SIGKILL'), graceMs)
  await gone
  clearTimeout(force)
}
