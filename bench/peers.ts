import { spawn } from 'node:child_process'
import { rm, stat } from 'node:fs/promises'
import type { Peer } from './options.ts'

type Files = { in: string; out: string; model: string }

/**
 * Wall time, in seconds, of a whole command: its start and end are part of what it costs. `{in}`, `{out}` and
 * `{model}` in it are replaced by paths. Throws with the end of what it said when it fails or writes nothing.
 */
export async function measurePeer(
  { name, command }: Peer,
  files: Files,
  signal: AbortSignal,
): Promise<number> {
  const line = command.replaceAll(/\{(in|out|model)\}/g, (_, key: keyof Files) => quoted(files[key]))
  const began = performance.now()
  const { code, said } = await runShell(line, signal)
  const seconds = (performance.now() - began) / 1_000
  if (code !== 0) throw new Error(`the peer ${name} failed (${code}): ${said}`)
  if (command.includes('{out}')) {
    const { size } = await stat(files.out).catch(() => ({ size: 0 }))
    if (size === 0) throw new Error(`the peer ${name} wrote no ${files.out}: ${said}`)
    await rm(files.out)
  }
  return seconds
}

const quoted = (path: string) => `'${path.replaceAll("'", "'\\''")}'`

async function runShell(line: string, signal: AbortSignal): Promise<{ code: number | null; said: string }> {
  const child = spawn('sh', ['-c', line], { stdio: ['ignore', 'pipe', 'pipe'], signal })
  let said = ''
  const hear = (chunk: Buffer) => {
    said = (said + chunk.toString()).slice(-2_000)
  }
  child.stdout.on('data', hear)
  child.stderr.on('data', hear)
  return await new Promise((resolve, reject) => {
    child.once('error', reject)
    // Not "close": a peer may leave a server running that keeps our pipes open.
    child.once('exit', (code) => resolve({ code, said: said.trim() }))
  })
}
