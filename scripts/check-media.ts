// Runs every clip of a folder through a stack of its own with the passthrough model, and compares each result with its
// source, frame by frame, with a checking program (called as PROGRAM SOURCE OUTPUT --json; exit 0 when all holds).
//   npm run check:media -- FOLDER [--tool PROGRAM] [--workers n] [--only TEXT] [--keep FOLDER]
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, readdir, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { z } from 'zod'
import { childPids } from './child-pids.ts'
import { runJob } from '../src/cli/commands/demo.ts'
import { startStack } from '../src/cli/embedded-stack.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    tool: { type: 'string' },
    workers: { type: 'string', default: '2' },
    only: { type: 'string', default: '' },
    keep: { type: 'string' },
  },
})
const folder = resolve(positionals[0] ?? '.')
const tool = resolve(values.tool ?? join(folder, '..', 'tools', 'check-video'))
if (!existsSync(tool)) throw new Error(`there is no checking program at ${tool}; name one with --tool`)

const Findings = z.looseObject({
  frames: z.tuple([z.number(), z.number()]),
  worst_time_error_ms: z.number().optional(),
  worst_psnr_db: z.number(),
  audio_streams: z.tuple([z.number(), z.number()]),
  fell_short: z.array(z.string()),
})

async function compare(source: string, output: string) {
  const said = await new Promise<string>((done, fail) => {
    execFile(tool, [source, output, '--json'], { maxBuffer: 16 << 20 }, (error, stdout, stderr) =>
      stdout ? done(stdout) : fail(new Error(stderr.trim() || error?.message)),
    )
  })
  return Findings.parse(JSON.parse(said))
}

/** Whether ffmpeg decodes a file from end to end without a single complaint. */
async function decodesWell(path: string): Promise<boolean> {
  return await new Promise((done) => {
    const args = ['-v', 'error', '-xerror', '-i', path, '-map', '0:V:0', '-f', 'null', '-']
    execFile('ffmpeg', args, (error, _stdout, stderr) => done(!error && stderr === ''))
  })
}

/** The largest resident memory any process of the stack ever had, in MB, as Linux keeps it. */
async function peakMemory(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '')
  return Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024
}

async function family(pid: number): Promise<number[]> {
  const below = await Promise.all((await childPids(pid)).map(family))
  return [pid, ...below.flat()]
}

const dir = await mkdtemp(join(tmpdir(), 'framefleet-check-'))
const stack = await startStack({
  dir,
  workers: Number(values.workers),
  port: 0,
  env: process.env,
  restart: true,
})
let bad = 0
let peak = 0
const watch = setInterval(() => {
  void family(process.pid).then(async (pids) => {
    for (const memory of await Promise.all(pids.slice(1).map(peakMemory))) peak = Math.max(peak, memory)
  })
}, 500)
try {
  const row = (...cells: string[]) =>
    console.log(cells.map((cell, i) => cell.padEnd([52, 10, 13, 9, 8, 7][i] ?? 0)).join(' '))
  row('clip', 'result', 'frames', 'time ms', 'PSNR', 'sound', 'remarks')
  for (const name of (await readdir(folder)).sort()) {
    const path = join(folder, name)
    if (!(await stat(path)).isFile() || name.endsWith('.md') || !name.includes(values.only)) continue
    const started = performance.now()
    const job = await runJob(stack, path, {
      model: 'passthrough',
      workers: 2,
      json: true,
      quiet: true,
      onError: 'fail',
      signal: new AbortController().signal,
      out: join(values.keep ?? dir, `${name}.out`),
    })
    const took = `${((performance.now() - started) / 1_000).toFixed(1)} s`
    if (job.output === null) {
      // A clip may be refused when ffmpeg itself can't decode all of it; any other failure is ours.
      if (await decodesWell(path)) bad++
      row(basename(name), job.status, '', '', '', '', `${took}; ${job.error}`)
      continue
    }
    const found = await compare(path, job.output)
    const ok = found.fell_short.length === 0
    if (!ok) bad++
    row(
      basename(name),
      ok ? 'ok' : 'SHORT',
      found.frames.join('='),
      String(found.worst_time_error_ms ?? ''),
      String(found.worst_psnr_db),
      found.audio_streams.join('='),
      [took, ...found.fell_short, ...job.warnings].join('; '),
    )
    if (!values.keep) await rm(job.output)
  }
  console.log(`largest process: ${Math.round(peak)} MB resident`)
} finally {
  clearInterval(watch)
  await stack.stop()
  await rm(dir, { recursive: true, force: true })
}
process.exitCode = bad === 0 ? 0 : 1
