import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import sharp from 'sharp'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { ffmpeg, makeClip } from '../support/clips.ts'
import { styled } from '../support/models.ts'
import { type TestStack, startTestStack } from '../support/stack.ts'
import { tempDir } from '../support/temp-dir.ts'

const run = promisify(execFile)
const dir = tempDir()
let stack: TestStack
let clip: string

beforeAll(async () => {
  stack = await startTestStack()
  clip = await makeClip({ path: join(dir, 'clip.mp4'), frames: 10 })
  await writeFile(join(dir, 'styled.onnx'), styled())
  for (const [name, background] of [
    ['red', '#ff0000'],
    ['blue', '#0000ff'],
  ] as const) {
    const picture = sharp({ create: { width: 40, height: 24, channels: 3, background } })
    await picture.png().toFile(join(dir, `${name}.png`))
  }
})
afterAll(async () => await stack.stop())

/** `framefleet models add`, as a user runs it beside a running system. */
async function addModel(...args: string[]) {
  const account = stack.stack.env['FRAMEFLEET_SYSTEM_ACCOUNT']
  const env = {
    ...process.env,
    FRAMEFLEET_API_URL: stack.stack.apiUrl,
    FRAMEFLEET_API_TOKEN: stack.stack.token,
    FRAMEFLEET_SYSTEM_ACCOUNT: account,
  }
  const { stdout } = await run(
    process.execPath,
    ['src/cli/main.ts', 'models', 'add', join(dir, 'styled.onnx'), '--range', '0..1', ...args],
    { env },
  )
  return stdout.trim()
}

/** The mean red, green and blue of a video's first frame. */
async function colourOf(id: string): Promise<number[]> {
  const video = await stack.fetchOutput(id, join(dir, `${id}.mp4`))
  await ffmpeg('-i', video, '-frames:v', '1', join(dir, `${id}.png`))
  const { channels } = await sharp(join(dir, `${id}.png`)).stats()
  return channels.map(({ mean }) => mean)
}

test('every frame takes the style image of its job; another image, another look', async () => {
  expect(await addModel('--as', 'tinted@1')).toMatch(
    /^tinted@1 {2}in float32 NCHW RGB 0\.\.1; .*takes a style$/,
  )
  const colours = []
  for (const name of ['red', 'blue']) {
    const url = await stack.upload(join(dir, `${name}.png`))
    const id = await stack.submit(clip, { model: 'tinted', style: { url } })
    colours.push(await colourOf(id))
    expect(await stack.api.report(id)).toMatchObject({ style: { url } })
  }
  const [red = [], blue = []] = colours
  expect((red[0] ?? 0) - (blue[0] ?? 0)).toBeGreaterThan(100)
  expect((blue[2] ?? 0) - (red[2] ?? 0)).toBeGreaterThan(100)
})

test('a style that comes with the model holds for jobs that name none', async () => {
  expect(await addModel('--as', 'reddish', '--style', join(dir, 'red.png'))).toMatch(/^reddish@[0-9a-f]{12} /)
  const [red = 0, , blue = 0] = await colourOf(await stack.submit(clip, { model: 'reddish' }))
  expect(red - blue).toBeGreaterThan(60)
  const url = await stack.upload(join(dir, 'blue.png'))
  const own = await colourOf(await stack.submit(clip, { model: 'reddish', style: { url } }))
  expect((own[2] ?? 0) - (own[0] ?? 0)).toBeGreaterThan(60)
})

test.each([
  ['a model that needs one, without', 'tinted', undefined, 'style-needed'],
  ['a model that takes none', 'passthrough', 'red.png', 'no-style'],
  ['an image that is not there', 'tinted', 'https://127.0.0.1:1/none.png', 'host-not-allowed'],
])('refused at once: %s', async (_, model, style, code) => {
  const url = style?.endsWith('red.png') ? await stack.upload(join(dir, style)) : style
  const answer = await stack.call('POST', '/v1/jobs', {
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ source: { url: await stack.upload(clip) }, model, style: url && { url } }),
  })
  expect(await answer.json()).toMatchObject({ code, status: answer.status })
  expect(answer.status).toBeGreaterThanOrEqual(400)
  expect(answer.status).toBeLessThan(500)
})

test('a style that is no image fails the job before a frame is scored', async () => {
  const id = await stack.submit(clip, { model: 'tinted', style: { url: await stack.upload(clip) } })
  expect(await stack.ends(id)).toMatchObject({
    status: 'failed',
    frames: { done: 0 },
    error: { code: 'style-unreadable' },
  })
})
