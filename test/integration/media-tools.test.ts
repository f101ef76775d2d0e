import { execFileSync } from 'node:child_process'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, expect, test, vi } from 'vitest'
import {
  MediaToolError,
  ffmpegArgs,
  readLines,
  runFfmpeg,
  startMedia,
} from '../../src/shared/media/ffmpeg.ts'
import { makeClip } from '../support/clips.ts'
import { tempDir } from '../support/temp-dir.ts'

const dir = tempDir()
afterEach(() => void vi.unstubAllEnvs())
const isAlive = (text: string) => {
  try {
    return execFileSync('pgrep', ['-f', text], { encoding: 'utf8' }).trim() !== ''
  } catch {
    return false
  }
}

/** An input that never says a word: ffmpeg waits for it for ever. */
function hung(name: string): string {
  const path = join(dir, name)
  execFileSync('mkfifo', [path])
  return path
}

test('a program that makes no progress is ended, and the work may be tried again', async () => {
  const path = hung('mute.mp4')
  await expect(
    runFfmpeg([{ path }], { path: join(dir, 'x.mp4'), options: [] }, { stallMs: 400 }),
  ).rejects.toMatchObject({
    name: 'TransientError',
    message: expect.stringMatching(/no progress/),
  })
  expect(isAlive(path)).toBe(false)
})

test('an abort ends it at once, with the reason', async () => {
  const path = hung('endless.mp4')
  const stop = new AbortController()
  const run = startMedia('ffmpeg', ffmpegArgs([{ path }], { path: join(dir, 'y.mp4'), options: [] }), {
    signal: stop.signal,
  })
  stop.abort(new Error('the job was cancelled'))
  await expect(run.done).rejects.toThrow('the job was cancelled')
  expect(isAlive(path)).toBe(false)
})

test('a signal that was aborted before does not even let it begin', async () => {
  const run = startMedia('ffmpeg', ['-version'], { signal: AbortSignal.abort(new Error('too late')) })
  await expect(run.done).rejects.toThrow('too late')
})

test('while we keep it waiting, the watchdog looks away', async () => {
  const source = await makeClip({ path: join(dir, 'big.mp4'), frames: 100, size: '640x360', sound: false })
  const run = startMedia(
    'ffmpeg',
    ffmpegArgs([{ path: source }], { path: 'pipe:1', options: ['-f', 'rawvideo'] }),
    { stallMs: 1_000 },
  )
  // Nobody reads: the pipe is full and ffmpeg stands still, until long after a stall another one is given up.
  const other = runFfmpeg(
    [{ path: hung('other.mp4') }],
    { path: join(dir, 'v.mp4'), options: [] },
    { stallMs: 2_500 },
  )
  await run.hold(other.catch(() => {}))
  let bytes = 0
  for await (const chunk of run.stdout as AsyncIterable<Buffer>) {
    bytes += chunk.length
    run.touch()
  }
  await run.done
  expect(bytes).toBe(100 * 640 * 360 * 1.5)
})

test('a program that somebody kills says nothing about the media: the work may be tried again', async () => {
  const path = hung('killed.mp4')
  const run = startMedia('ffprobe', ['-v', 'error', path])
  while (!isAlive(`^ffprobe.*${path}`)) await new Promise((resolve) => setImmediate(resolve))
  execFileSync('pkill', ['-KILL', '-f', path])
  await expect(run.done).rejects.toMatchObject({
    name: 'TransientError',
    message: 'ffprobe was killed by SIGKILL',
  })
})

test('a failure carries the last words, without secrets', async () => {
  const path = join(dir, 'film.mp4?sig=TOPSECRETSIGNATURE')
  const failed = runFfmpeg([{ path }], { path: join(dir, 'z.mp4'), options: [] }, {})
  await expect(failed).rejects.toBeInstanceOf(MediaToolError)
  await expect(failed).rejects.toSatisfy(
    (error: MediaToolError) =>
      /No such file/.test(error.tail) && !/TOPSECRET/.test(error.message + error.tail),
  )
})

test.each(['http://127.0.0.1:9/x.mp4', 'tcp://127.0.0.1:9', 'concat:/etc/passwd|/etc/hosts'])(
  'nothing but files and pipes is opened: %s',
  async (path) => {
    const failed = runFfmpeg([{ path }], { path: join(dir, 'w.mp4'), options: [] }, {})
    await expect(failed).rejects.toSatisfy((error: MediaToolError) =>
      /whitelist|Invalid argument/.test(error.tail),
    )
  },
)

test('lines come whole, and stopping half-way leaves no process', async () => {
  const source = join(dir, 'big.mp4')
  const seen: string[] = []
  for await (const line of readLines('ffprobe', ['-v', 'error', '-show_packets', source])) {
    seen.push(line)
    if (seen.length === 20) break
  }
  expect(seen[0]).toBe('[PACKET]')
  await expect.poll(() => isAlive(`show_packets ${source}`)).toBe(false)
})

test('a program that reads what strangers sent gets none of our settings', async () => {
  const bin = join(dir, 'bin')
  await mkdir(bin)
  await writeFile(join(bin, 'ffprobe'), '#!/bin/sh\nenv\n', { mode: 0o755 })
  vi.stubEnv('PATH', `${bin}:${process.env['PATH']}`)
  vi.stubEnv('FRAMEFLEET_MEDIA_ACCOUNT', 'AccountKey=secret')
  vi.stubEnv('IDENTITY_HEADER', 'secret')
  const lines: string[] = []
  for await (const line of readLines('ffprobe', [])) lines.push(line)
  expect(lines.find((line) => line.startsWith('PATH='))).toContain(bin)
  expect(lines.filter((line) => line.includes('secret'))).toEqual([])
})
