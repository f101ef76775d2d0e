import { type ChildProcess, fork, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { createServer } from 'node:net'
import { delimiter, join } from 'node:path'

/** A program that runs beside us, and dies with us. */
export type Service = { name: string; process: ChildProcess; stop(graceMs: number): Promise<void> }

type ServiceSpec = {
  name: string
  command: string
  args: string[]
  env?: NodeJS.ProcessEnv
  /** Written to its standard input: settings that must not show in the process list. */
  input?: string
  /** What it prints once it takes connections. */
  ready: RegExp
  logFile: string
  /** Ends it while it is still starting. */
  signal?: AbortSignal
}

/** Starts a program and resolves when it says it is ready; throws with the end of its output when it ends before. */
export async function startService({
  name,
  command,
  args,
  env,
  input,
  ready,
  logFile,
  signal,
}: ServiceSpec): Promise<Service> {
  const [program, ...rest] = dyingWithUs([command, ...args])
  const child = spawn(program as string, rest, { env: env ?? process.env, stdio: ['pipe', 'pipe', 'pipe'] })
  const log = await open(logFile, 'a')
  child.stdin.on('error', () => {}).end(input ?? '')
  let said = ''
  const cancel = stopOn(signal, child)
  await new Promise<void>((resolve, reject) => {
    const hear = (chunk: Buffer) => {
      said = (said + chunk.toString()).slice(-4_000)
      void log.appendFile(chunk).catch(() => {})
      if (ready.test(said)) resolve()
    }
    child.stdout.on('data', hear)
    child.stderr.on('data', hear)
    child.once('error', (error) => reject(new Error(`${name} can't be started: ${error.message}`)))
    child.once('exit', (code) =>
      reject(new Error(`${name} ended (${code}) before it was ready: ${said.trim().slice(-400)}`)),
    )
    child.once('exit', () => void log.close().catch(() => {}))
  }).finally(cancel)
  return { name, process: child, stop: async (graceMs) => await stopProcess(child, graceMs) }
}

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
function stopOn(signal: AbortSignal | undefined, child: ChildProcess): () => void {
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
async function stopProcess(child: ChildProcess, graceMs: number): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  child.kill('SIGTERM')
  const force = setTimeout(() => child.kill('SIGKILL'), graceMs)
  await gone
  clearTimeout(force)
}

/** On Linux the kernel ends the program when we die, even by SIGKILL; elsewhere it may be left running then. */
function dyingWithUs(command: string[]): string[] {
  const dirs = (process.env['PATH'] ?? '').split(delimiter)
  const hasSetpriv = process.platform === 'linux' && dirs.some((dir) => existsSync(join(dir, 'setpriv')))
  return hasSetpriv ? ['setpriv', '--pdeathsig', 'TERM', ...command] : command
}

export async function freePort(): Promise<number> {
  return await new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => {
        if (typeof address === 'object' && address) resolve(address.port)
        else reject(new Error('no free port'))
      })
    })
  })
}
