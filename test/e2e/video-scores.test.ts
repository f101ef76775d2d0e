import { join } from 'node:path'
import { readFile } from 'node:fs/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { layout } from '../../src/shared/layout.ts'
import { runCli } from '../support/cli.ts'
import { damagedClip, makeClip } from '../support/clips.ts'
import { colourManifest, colourModel, faceModel, notWhiteModel, ratioModel } from '../support/score-models.ts'
import { picture } from '../support/pictures.ts'
import { type TestStack, startTestStack } from '../support/stack.ts'
import { tempDir } from '../support/temp-dir.ts'

const dir = tempDir()
const frames = 60
/** Twenty frames each of red, green and blue. */
const coloured = (part: string) => join(dir, `${part}.mp4`)
let stack: TestStack
let clip: string
beforeAll(async () => {
  stack = await startTestStack({ workers: 2 })
  const fill = (colour: string, when: string) => `drawbox=color=${colour}:t=fill:enable='${when}'`
  clip = await makeClip({
    ...{ path: coloured('film'), frames, size: '64x32', fps: '30000/1001' },
    filter: [fill('red', 'lt(n,20)'), fill('lime', 'between(n,20,39)'), fill('blue', 'gte(n,40)')].join(','),
  })
  await stack.addModel(colourModel(), colourManifest)
  await stack.addModel(faceModel(), {
    name: 'faces',
    input: { layout: 'NCHW', type: 'float32', range: '0..1' },
    size: { width: 32, height: 32, fit: 'letterbox' },
    scores: { task: 'detection', scores: 'scores', boxes: 'boxes', labels: ['none', 'face'], background: 0 },
  })
  await stack.addModel(notWhiteModel(), {
    name: 'not-white',
    scores: { task: 'vector' },
  })
  await stack.addModel(ratioModel(), {
    name: 'ratio',
    input: { layout: 'NCHW', type: 'float32', range: '0..1' },
    scores: { task: 'anomaly' },
  })
})
afterAll(async () => await stack?.stop())

type Report = {
  status: string
  output: { sha256: string }
  items: { total: number; failed: number; format: string; failures: { key: string; code: string }[] }
  framesReplaced: number[]
  framesPassedThrough: number[]
  warnings: string[]
  encoding?: object
}
type Row = Record<string, unknown>
const report = async (id: string) => (await stack.api.report(id)) as unknown as Report
const linesOf = (text: string) =>
  text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Row)
async function outputOf(id: string): Promise<string> {
  expect(await stack.ends(id)).toMatchObject({ status: 'succeeded' })
  // Nothing is left of how it was made.
  expect(await stack.namesUnder(layout.segments(id))).toEqual([])
  return await (await stack.call('GET', `/v1/jobs/${id}/output`)).text()
}

test('every frame is classified: a line each, in order, with its number and time', async () => {
  const id = await stack.submit(clip, {
    model: 'colours',
    batch: { frames: 7 },
    output: { scores: { top: 2 } },
  })
  const rows = linesOf(await outputOf(id))
  expect(rows.map(({ frame }) => frame)).toEqual(Array.from({ length: frames }, (_, i) => i))
  const label = (i: number) => (['red', 'green', 'blue'] as const)[Math.floor(i / 20)]
  expect(rows.map((row) => row['label'])).toEqual(rows.map((_, i) => label(i)))
  for (const [i, { time, top, score }] of rows.entries()) {
    expect(time).toBeCloseTo((i * 1_001) / 30_000, 5)
    expect(top).toHaveLength(2)
    expect(score).toBeGreaterThan(0.9)
  }
  expect(await report(id)).toMatchObject({
    items: { total: frames, failed: 0, format: 'ndjson', failures: [] },
    ...{ framesReplaced: [], framesPassedThrough: [], warnings: [] },
    batches: { planned: 9, failed: 0 },
  })
  expect((await report(id)).encoding).toBeUndefined()
  // However it is cut, it says the same.
  const whole = await stack.submit(clip, { model: 'colours', output: { scores: { top: 2 } } })
  await outputOf(whole)
  expect((await report(whole)).output.sha256).toBe((await report(id)).output.sha256)
})

test('what is found in a frame is told in its own pixels; as CSV, and as counts', async () => {
  const scored = async (scores: object) =>
    await outputOf(await stack.submit(clip, { model: 'faces', batch: { frames: 25 }, output: { scores } }))
  const rows = linesOf(await scored({}))
  expect(rows).toHaveLength(frames)
  // Where the picture is red the face is half a width further to the right.
  for (const [i, { count, boxes }] of rows.entries()) {
    const [box] = boxes as Row[]
    expect([count, box?.['label']]).toEqual([1, 'face'])
    expect(box?.['x']).toBeCloseTo(i < 20 ? 32 : 0, 0)
    expect([box?.['y'], box?.['height']]).toEqual([8, 16])
  }
  const csv = await scored({ format: 'csv', rename: { time: 'seconds', count: 'faces' } })
  const [header, first] = csv.split('\n')
  expect(header).toBe('frame,seconds,faces,boxes')
  expect(first).toMatch(/^0,0,1,"\[\{""label"":""face""/)
  expect(linesOf(await scored({ append: 'summary' }))).toEqual([
    { items: frames, failed: 0, labels: { face: frames } },
  ])
})

test('a worker killed in the middle costs no line: the same bytes', async () => {
  const long = await makeClip({ path: coloured('long'), frames: 400, size: '640x360', sound: false })
  const wish = { model: 'colours', batch: { frames: 20 } }
  const calm = await stack.submit(long, wish)
  await outputOf(calm)
  const id = await stack.submit(long, wish)
  await stack.until(id, ({ frames: { done } }) => done >= 20)
  const killed = await stack.busyWorker()
  killed.process.kill('SIGKILL')
  expect(linesOf(await outputOf(id))).toHaveLength(400)
  expect((await report(id)).output.sha256).toBe((await report(calm)).output.sha256)
})

test('frames that are damaged, or that a model fails on, are the job’s to forgive', async () => {
  const white = await makeClip({
    ...{ path: coloured('white'), frames: 12, size: '32x16', sound: false },
    filter: "drawbox=color=white:t=fill:enable='eq(n,5)'",
    video: ['-c:v', 'libx264', '-qp', '0', '-preset', 'ultrafast'],
  })
  // It is tried some times before it is believed to be poison.
  const forgiven = await stack.submit(white, { model: 'not-white', onError: 'passthrough' })
  const path = await damagedClip(coloured('damaged'))
  const strict = await stack.submit(path, { model: 'colours' })
  expect(await stack.ends(strict)).toMatchObject({ status: 'failed', error: { code: 'damaged-source' } })
  const id = await stack.submit(path, { model: 'colours', onError: 'passthrough' })
  const rows = linesOf(await outputOf(id))
  const { framesReplaced, warnings, items } = await report(id)
  expect(framesReplaced.length).toBeGreaterThan(0)
  expect(warnings.join()).toMatch(/nearest good frame/)
  expect([rows.length, items.failed]).toEqual([frames, 0])
  const [replaced = 1] = framesReplaced
  expect(rows[replaced]?.['top']).toEqual(rows[replaced - 1]?.['top'])

  expect(linesOf(await outputOf(forgiven)).map(({ frame }) => frame)).toEqual([
    0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11,
  ])
  expect(await report(forgiven)).toMatchObject({
    items: { total: 12, failed: 1, failures: [{ key: '5', code: 'unscorable' }] },
    framesPassedThrough: [5],
  })
})

test('frames of which a model says no number go unscored, as many as the job forgives', async () => {
  const path = await makeClip({
    ...{ path: coloured('black'), frames: 12, size: '32x16', sound: false },
    filter: "drawbox=color=black:t=fill:enable='eq(n,5)+eq(n,8)'",
    video: ['-c:v', 'libx264', '-qp', '0', '-preset', 'ultrafast'],
  })
  const asked = { model: 'ratio', onError: 'passthrough', batch: { frames: 6 } }
  const [forgiven, few, strict] = [
    await stack.submit(path, asked),
    await stack.submit(path, { ...asked, errorThreshold: 1 }),
    await stack.submit(path, { ...asked, onError: 'fail' }),
  ]
  const rows = linesOf(await outputOf(forgiven))
  expect(rows.map(({ frame }) => frame)).toEqual([0, 1, 2, 3, 4, 6, 7, 9, 10, 11])
  expect((await report(forgiven)).items).toMatchObject({
    ...{ total: 12, failed: 2 },
    failures: [
      { key: '5', code: 'no-number' },
      { key: '8', code: 'no-number' },
    ],
  })
  expect(await stack.ends(few)).toMatchObject({ status: 'failed', error: { code: 'too-many-errors' } })
  const ended = await stack.ends(strict)
  expect(ended).toMatchObject({ status: 'failed', error: { code: 'no-number' } })
  expect(ended.error?.message).toMatch(/frame [58] is no finite number/)
})

test.each<[string, object, string]>([
  ['a codec', { model: 'colours', output: { codec: 'h264' } }, 'bad-output'],
  ['frames to keep', { model: 'colours', intermediate: 'frames' }, 'bad-output'],
  ['images', { model: 'colours', output: { images: {} } }, 'bad-output'],
  ['scores of a model that makes pictures', { model: 'passthrough', output: { scores: {} } }, 'bad-output'],
  [
    'a column that is there already',
    { model: 'colours', output: { scores: { rename: { score: 'frame' } } } },
    'bad-output',
  ],
])('a video that is to become scores is refused with %s', async (_, more, code) => {
  const url = await stack.upload(clip)
  const answer = await stack.call('POST', '/v1/jobs', {
    body: JSON.stringify({ source: { url }, ...more }),
    headers: { 'content-type': 'application/json' },
  })
  expect([answer.status, ((await answer.json()) as { code: string }).code]).toEqual([422, code])
})

const cli = async (...args: string[]) =>
  await runCli(args, {
    FRAMEFLEET_API_URL: stack.stack.apiUrl,
    FRAMEFLEET_API_TOKEN: stack.stack.token,
  })

test('the command line fetches scores by a name that says so, and says of images where they are and what failed', async () => {
  const out = join(dir, 'said.ndjson')
  const ran = await cli('submit', clip, '--model', 'colours', '--wait', '--out', out)
  expect([ran.code, ran.stderr]).toEqual([0, expect.stringContaining('60 frames')])
  expect(linesOf(await readFile(out, 'utf8'))).toHaveLength(frames)

  const file = await picture({ width: 20, height: 10 }).png().toBuffer()
  await stack.media.write('album/good.png', file)
  await stack.media.write('album/torn.png', file.subarray(0, 60))
  const { id } = await stack.api.submit({ source: { images: { prefix: 'album/' } }, model: 'passthrough' })
  const watched = await cli('watch', id)
  expect(watched).toMatchObject({
    code: 0,
    stdout: `succeeded: images under ${stack.media.url(layout.images(id))}\n`,
  })
  expect(watched.stderr).toMatch(/2\/2 images[^]*1 of 2 images failed, torn\.png: It can't be read/)
  expect(await cli('download', id)).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/look under http/),
  })
})
