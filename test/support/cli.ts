import { spawn } from 'node:child_process'
import { join } from 'node:path'

export const cliMain = join(import.meta.dirname, '../../src/cli/main.ts')

/** Runs the command line as a process of its own, without this machine's settings. */
export const runCli = async (args: string[], env: NodeJS.ProcessEnv = {}) =>
  await run(process.execPath, [cliMain, ...args], { env })

/** Runs a program to its end, without settings of this machine, while what runs here goes on. */
export async function run(
  program: string,
  args: string[],
  { env = {}, cwd }: { env?: NodeJS.ProcessEnv; cwd?: string } = {},
) {
  const plain = Object.entries(process.env).filter(([name]) => !name.startsWith('FRAMEFLEET_'))
  const child = spawn(program, args, {
    env: { ...Object.fromEntries(plain), ...env },
    cwd,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const said = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const)
    child[name].setEncoding('utf8').on('data', (chunk: string) => (said[name] += chunk))
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve))
  return { code, ...said }
}
