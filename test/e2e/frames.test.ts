import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import sharp from 'sharp'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { layout } from '../../src/shared/layout.ts'
import { damagedClip, makeClip } from '../support/clips.ts'
import { buildModel, writeUpscale } from '../support/onnx-models.ts'
import { type TestStack, startTestStack } from '../support/stack.ts'
import { tempDir } from '../support/temp-dir.ts'

const run = promisify(execFile)
const dir = tempDir()
const size = { width: 96, height: 64 }
const frames = 40
const wish = { batch: { frames: 20 } }
let stack: TestStack
let clip: string
beforeAll(async () => {
  stack = await startTestStack({ workers: 2, restart: false })
  clip = await makeClip({ path: join(dir, 'clip.mp4'), frames, size: '96x64' })
})
afterAll(async () => await stack?.stop())

const outputOf = async (id: string) => ((await stack.api.report(id)) as { output: { sha256: string } }).output

/** Each frame as RGB. */
async function pixels(path: string, { width, height }: { width: number; height: number }): Promise<Buffer[]> {
  const args = ['-v', 'error', '-i', path, '-f', 'rawvideo', '-pix_fmt', 'rgb24', '-']
  const { stdout } = await run('ffmpeg', args, { encoding: 'buffer', maxBuffer: 1 << 28 })
  const bytes = width * height * 3
  return Array.from({ length: stdout.length / bytes }, (_, i) => stdout.subarray(i * bytes, (i + 1) * bytes))
}
const mean = (picture: Uint8Array = Buffer.alloc(1)) =>
  picture.reduce((sum, value) => sum + value, 0) / picture.length

test('a video by way of its frames is the same as by ranges, and shows what is edited in them once it is stitched again', async () => {
  const ranges = await stack.submit(clip, { ...wish, model: 'relief' })
  const id = await stack.submit(clip, { ...wish, model: 'relief', intermediate: 'frames' })
  const before = await stack.fetchOutput(id, join(dir, 'before.mp4'))
  const reference = await stack.fetchOutput(ranges, join(dir, 'ranges.mp4'))
  const [one, other] = [await pixels(before, size), await pixels(reference, size)]
  expect(one).toHaveLength(frames)
  expect(one.every((picture, i) => picture.equals(other[i] ?? Buffer.alloc(0)))).toBe(true)
  expect((await outputOf(id)).sha256).toBe((await outputOf(ranges)).sha256)
  expect(await stack.namesUnder(layout.frames(id))).toHaveLength(frames)
  expect(await stack.namesUnder(layout.segments(id))).toEqual([])

  const blank = await sharp({ create: { ...size, channels: 3, background: '#fff' } })
    .png()
    .toBuffer()
  await stack.media.write(layout.frame(id, 25), blank)
  const answer = await stack.call('POST', `/v1/jobs/${id}/restitch`)
  expect([answer.status, await answer.json()]).toEqual([202, { id, outcome: 'resumed' }])
  const after = await pixels(await stack.fetchOutput(id, join(dir, 'after.mp4')), size)
  expect(after).toHaveLength(frames)
  expect(mean(after[25])).toBeGreaterThan(245)
  // The batch that nobody edited comes out with the same pixels.
  expect(after.slice(0, 20).every((picture, i) => picture.equals(one[i] ?? Buffer.alloc(0)))).toBe(true)
  expect(Math.abs(mean(after[30]) - mean(one[30]))).toBeLessThan(3)

  // What is no picture of that size is named.
  await stack.media.write(layout.frame(id, 7), await sharp(blank).resize(10, 10).png().toBuffer())
  await stack.call('POST', `/v1/jobs/${id}/restitch`)
  const failed = await stack.ends(id)
  expect(failed).toMatchObject({ status: 'failed', error: { code: 'bad-frame' } })
  expect(failed.error?.message).toMatch(/frame 7 .*10x10.*96x64/)
})

test('a model that makes three times larger frames: by ranges, and by frames', async () => {
  const model = await stack.addModel(
    buildModel({ opset: 13, write: (graph) => writeUpscale(graph, 'image', 3) }),
    {
      name: 'thrice',
      input: { layout: 'NCHW', type: 'float32' },
      output: { layout: 'NCHW', type: 'float32', scale: 3 },
    },
  )
  const ids = [
    await stack.submit(clip, { ...wish, model }),
    await stack.submit(clip, { ...wish, model, intermediate: 'frames' }),
  ]
  for (const id of ids) expect(await stack.ends(id)).toMatchObject({ status: 'succeeded' })
  const [one, other] = await Promise.all(ids.map(outputOf))
  expect(one?.sha256).toBe(other?.sha256)
  const large = await stack.media.read(layout.frame(ids[1] ?? '', frames - 1))
  expect(await sharp(large).metadata()).toMatchObject({ width: 288, height: 192, format: 'png' })
  const video = await stack.fetchOutput(ids[0] ?? '', join(dir, 'large.mp4'))
  expect(await pixels(video, { width: 288, height: 192 })).toHaveLength(frames)
})

test('which frames are damaged is known of their images: the report says it again once the video is stitched again', async () => {
  const path = await damagedClip(join(dir, 'damaged.mp4'))
  const lenient = { batch: { frames: 30 }, onError: 'passthrough' }
  const ids = [
    await stack.submit(path, { ...lenient }),
    await stack.submit(path, { ...lenient, intermediate: 'frames' }),
  ]
  for (const id of ids) expect(await stack.ends(id)).toMatchObject({ status: 'succeeded' })
  const replacedIn = async (id = '') =>
    ((await stack.api.report(id)) as unknown as { framesReplaced: number[] }).framesReplaced
  const [ranges, kept] = ids
  const damaged = await replacedIn(ranges)
  expect(damaged.length).toBeGreaterThan(0)
  expect(await replacedIn(kept)).toEqual(damaged)
  expect((await outputOf(kept ?? '')).sha256).toBe((await outputOf(ranges ?? '')).sha256)

  await stack.call('POST', `/v1/jobs/${kept}/restitch`)
  expect(await stack.ends(kept ?? '')).toMatchObject({ status: 'succeeded' })
  expect(await replacedIn(kept)).toEqual(damaged)
})

test('a job that kept no frames is not stitched again', async () => {
  const id = await stack.submit(clip, { model: 'passthrough' })
  await stack.ends(id)
  const answer = await stack.call('POST', `/v1/jobs/${id}/restitch`)
  expect([answer.status, ((await answer.json()) as { code: string }).code]).toEqual([409, 'no-frames'])
})
