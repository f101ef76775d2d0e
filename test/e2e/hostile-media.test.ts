import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { childrenOf, descendantsOf } from '../../scripts/chaos/processes.ts'
import { makeClip } from '../support/clips.ts'
import { claimingGif, claimingMp4, claimingPng } from '../support/hostile-media.ts'
import { type TestStack, startTestStack } from '../support/stack.ts'
import { tempDir } from '../support/temp-dir.ts'

const dir = tempDir()
const clip = join(dir, 'clip.mp4')
let stack: TestStack
beforeAll(async () => {
  stack = await startTestStack({ workers: 1, env: { FRAMEFLEET_STALL_SECONDS: '2' } })
  await makeClip({ path: clip, frames: 600, size: '320x180' })
})
afterAll(async () => await stack?.stop())

const playlist = '#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n'
const manifest = (base: string) =>
  `<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="dynamic" profiles="urn:mpeg:dash:profile:isoff-live:2011"><Period><AdaptationSet mimeType="video/mp4"><Representation id="1" bandwidth="1"><BaseURL>${base}</BaseURL></Representation></AdaptationSet></Period></MPD>`

const files: [what: string, make: () => string | Buffer, code: string, says: RegExp][] = [
  [
    'a playlist of a file of the machine',
    () => `${playlist}${clip}\n#EXT-X-ENDLIST\n`,
    'format-not-taken',
    /hls/,
  ],
  ['a playlist without an end', () => `${playlist}${clip}\n`, 'format-not-taken', /hls/],
  ['a manifest without an end', () => manifest(clip), 'format-not-taken', /dash/],
  ['a list of files', () => `ffconcat version 1.0\nfile '${clip}'\n`, 'format-not-taken', /concat/],
  ['a billion frames', () => claimingMp4({ frames: 1e9 }), 'too-long', /1000000000 frames; 5000000 are/],
  ['as many as just go', () => claimingMp4({ frames: 5e6 }), 'truncated', /can be read of the 5000000/],
  [
    'a picture of 250 million pixels',
    () => claimingMp4({ frames: 10, size: 16_000 }),
    'too-large',
    /16000x16000/,
  ],
  ['5,000 tracks', () => claimingMp4({ frames: 10, tracks: 5_000 }), 'too-many-streams', /more than 100/],
  ['a PNG of 100,000 by 100,000', () => claimingPng({ size: 100_000 }), 'format-not-taken', /png/],
  ['the same, a billion times', () => claimingPng({ size: 100_000, frames: 1e9 }), 'format-not-taken', /png/],
  ['a GIF of 65,535 by 65,535', claimingGif, 'not-a-video', /without a picture size/],
]

test.for(files)('%s: refused with one sentence, soon', async ([what, make, code, says]) => {
  const path = join(dir, `${files.findIndex(([each]) => each === what)}.mp4`)
  await writeFile(path, make())
  const began = performance.now()
  const job = await stack.ends(await stack.submit(path))
  expect(job).toMatchObject({ status: 'failed', error: { code, message: expect.stringMatching(says) } })
  expect(job.error?.message).not.toMatch(/\n|\/tmp\//)
  expect(performance.now() - began).toBeLessThan(15_000)
})

test('a hundred tracks of millions of frames take no more memory than a process may have', async () => {
  const path = join(dir, 'tracks.mp4')
  await writeFile(path, claimingMp4({ frames: 4e6, tracks: 99 }))
  const id = await stack.submit(path)
  let [peakMb, ended] = [0, false]
  const end = stack.ends(id).finally(() => (ended = true))
  const producer = stack.stack.roles().find(({ name }) => name === 'producer')?.process.pid ?? 0
  while (!ended) {
    for (const { pid } of await childrenOf(producer)) {
      const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '')
      peakMb = Math.max(peakMb, Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024)
    }
    await pause(20)
  }
  expect(await end).toMatchObject({ status: 'failed', error: { code: 'not-a-video' } })
  expect(peakMb).toBeGreaterThan(50)
  expect(peakMb).toBeLessThan(3_000)
})

test('an ffmpeg that hangs is ended, even where it hears no signal, and the batch is done again', async () => {
  const id = await stack.submit(clip, { model: 'relief', batch: { frames: 300 } })
  await stack.until(id, ({ frames }) => frames.done > 30)
  const [worker] = stack.stack.workers()
  const ffmpegs = (await descendantsOf(worker?.process.pid ?? 0)).filter(({ name }) => name === 'ffmpeg')
  expect(ffmpegs).not.toHaveLength(0)
  for (const { pid } of ffmpegs) process.kill(pid, 'SIGSTOP')
  expect(await stack.ends(id)).toMatchObject({ status: 'succeeded', frames: { done: 600, total: 600 } })
  const log = await readFile(join(stack.dir, 'logs', 'worker-1.ndjson'), 'utf8')
  expect(log).toMatch(/ffmpeg made no progress for 2 s and was ended/)
})
