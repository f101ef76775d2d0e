import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { createServer } from 'node:net'
import { delimiter, join } from 'node:path'
import { type Service, stopOn, stopProcess } from '../shared/role-process.ts'

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

/** Whether nobody listens on that port of this machine. */
export async function isFree(port: number, host = '127.0.0.1'): Promise<boolean> {
  return await new Promise((resolve) => {
    const server = createServer()
    server.once('error', ({ code }: NodeJS.ErrnoException) => resolve(code !== 'EADDRINUSE'))
    server.listen({ port, host }, () => server.close(() => resolve(true)))
  })
}
