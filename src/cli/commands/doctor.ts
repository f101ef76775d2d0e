import { execFile } from 'node:child_process'
import { availableParallelism, freemem } from 'node:os'
import { statfs } from 'node:fs/promises'
import { promisify } from 'node:util'
import { print, printLines } from '../output.ts'

const run = promisify(execFile)

type Finding = { name: string; ok: boolean; found: string; mend?: string }

const install = (apt: string) => `sudo apt-get install -y ${apt}`

/** Says what this machine has, what is missing, and the command that mends it. Answers 1 when something is missing. */
export async function doctor(options: { json: boolean }): Promise<number> {
  const findings = await Promise.all([
    checkNode(),
    checkFfmpeg(),
    checkEncoders(),
    checkRedis(),
    checkRuntime(),
    checkDevice(),
    checkDisk(),
  ])
  findings.push({
    name: 'machine',
    ok: true,
    found: `${availableParallelism()} cores, ${(freemem() / 1e9).toFixed(1)} GB of memory free`,
  })
  if (options.json) print(findings)
  else printLines(findings.flatMap(linesOf))
  return findings.every(({ ok }) => ok) ? 0 : 1
}

const linesOf = ({ name, ok, found, mend }: Finding) => [
  `${ok ? 'ok      ' : 'MISSING '} ${name.padEnd(13)} ${found}`,
  ...(ok || !mend ? [] : [`         mend it with: ${mend}`]),
]

async function checkNode(): Promise<Finding> {
  const ok = Number(process.versions.node.split('.')[0]) >= 24
  return { name: 'node', ok, found: process.version, mend: 'node scripts/setup.mjs' }
}

async function checkFfmpeg(): Promise<Finding> {
  const found = await output('ffmpeg', ['-version'])
  const version = /version\D*(\d+)\.(\d+)/.exec(found ?? '')
  // Git builds carry no number; they are newer than any release that matters here.
  const ok = found !== undefined && (!version || Number(version[1]) * 100 + Number(version[2]) >= 501)
  const probe = await output('ffprobe', ['-version'])
  return {
    name: 'ffmpeg',
    ok: ok && probe !== undefined,
    found: firstLine(found) ?? 'not found (5.1 or later is needed)',
    mend: install('ffmpeg'),
  }
}

async function checkEncoders(): Promise<Finding> {
  const found = (await output('ffmpeg', ['-hide_banner', '-encoders'])) ?? ''
  const wanted = ['libx264', 'libx265', 'libvpx-vp9', 'libsvtav1', 'aac', 'flac', 'libopus']
  const missing = wanted.filter((encoder) => !new RegExp(`\\s${encoder}\\s`).test(found))
  const text = missing.length === 0 ? wanted.join(', ') : `without ${missing.join(', ')}`
  return { name: 'encoders', ok: missing.length === 0, found: text, mend: install('ffmpeg') }
}

async function checkRedis(): Promise<Finding> {
  const found = await output('redis-server', ['--version'])
  return {
    name: 'redis-server',
    ok: found !== undefined,
    found: firstLine(found) ?? 'not found',
    mend: install('redis-server'),
  }
}

async function checkRuntime(): Promise<Finding> {
  try {
    const { listSupportedBackends } = await import('onnxruntime-node')
    const backends = listSupportedBackends().map(({ name }) => name)
    return { name: 'onnxruntime', ok: backends.includes('cpu'), found: backends.join(', ') }
  } catch (error) {
    return {
      name: 'onnxruntime',
      ok: false,
      found: (error as Error).message,
      mend: 'npm install --ignore-scripts',
    }
  }
}

/** Loads a model as a worker would that may choose. */
async function checkDevice(): Promise<Finding> {
  try {
    const [{ openSession }, { builtinModels }] = await Promise.all([
      import('../../shared/models/session.ts'),
      import('../../shared/models/builtin.ts'),
    ])
    const [model] = builtinModels()
    const wish = { device: 'auto', deviceId: 0, threads: 1 } as const
    const { session, device, fellBack } = await openSession(model?.bytes ?? new Uint8Array(), wish)
    await session.release()
    const found = fellBack === undefined ? device : `${device}, because the GPU can't be used: ${fellBack}`
    return { name: 'models run on', ok: true, found }
  } catch (error) {
    return {
      name: 'models run on',
      ok: false,
      found: (error as Error).message,
      mend: 'npm install --ignore-scripts',
    }
  }
}

async function checkDisk(): Promise<Finding> {
  const { bavail, bsize } = await statfs('.')
  const free = bavail * bsize
  return {
    name: 'disk',
    ok: free > 2e9,
    found: `${(free / 1e9).toFixed(1)} GB free here`,
    mend: 'free at least 2 GB',
  }
}

async function output(program: string, args: string[]): Promise<string | undefined> {
  return await run(program, args).then(
    ({ stdout }) => stdout,
    () => undefined,
  )
}

const firstLine = (text: string | undefined) => text?.split('\n')[0]
