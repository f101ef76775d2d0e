import { createServer } from 'node:http'
import { once } from 'node:events'
import { readFile, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { damagedClip, ffmpeg, makeClip } from '../support/clips.ts'
import { odd } from '../support/models.ts'
import { type TestStack, startTestStack } from '../support/stack.ts'
import { tempDir } from '../support/temp-dir.ts'

const dir = tempDir()
// A host that an operator allowed: it can be told to redirect, to refuse, and to change what it serves.
const host = createServer()
let hostUrl = ''
let stack: TestStack
beforeAll(async () => {
  host.listen(0, '127.0.0.1')
  await once(host, 'listening')
  const { port } = host.address() as { port: number }
  hostUrl = `http://127.0.0.1:${port}`
  stack = await startTestStack({ env: { FRAMEFLEET_SOURCE_HOSTS: hostUrl } })
  await makeClip({ path: join(dir, 'good.mp4') })
})
afterAll(async () => {
  host.close()
  await stack?.stop()
})

const files: [
  what: string,
  file: string,
  make: (path: string) => Promise<unknown>,
  code: string,
  says: RegExp,
  options?: Record<string, unknown>,
][] = [
  [
    'text',
    'notes.mp4',
    (path) => writeFile(path, 'these are notes, not a video\n'.repeat(50)),
    'not-a-video',
    /not a video/,
  ],
  [
    'sound without pictures',
    'song.m4a',
    (path) => ffmpeg('-f', 'lavfi', '-i', 'sine=duration=1', '-c:a', 'aac', path),
    'no-video',
    /only sound/,
  ],
  ['an mp4 that was cut short', 'cut.mp4', cutShort, 'truncated', /cut short/],
  ['an mp4 without its index', 'headless.mp4', headless, 'not-a-video', /moov atom not found/],
  ['a Matroska file that was cut short', 'cut.mkv', cutShort, 'truncated', /cut short/],
  ['a stream without a keyframe', 'keyless.mkv', keyless, 'no-keyframe', /no keyframe/],
  [
    'a frame that can not be decoded',
    'damaged.mp4',
    damagedClip,
    'damaged-source',
    /frame \d+.* can't be decoded/,
  ],
  ['recordings put one behind the other', 'joined.ts', joined, 'bad-times', /clock jumps back/],
  [
    'more than 20,000 batches',
    'many.mp4',
    (path) => makeClip({ path, frames: 20_100, size: '16x16', fps: '1000', sound: false }),
    'too-many-batches',
    /20000 are the limit/,
    { batch: { frames: 1 } },
  ],
]

test.for(files)(
  '%s: the job fails, says why, and leaves nothing',
  async ([, file, make, code, says, options]) => {
    const path = join(dir, file)
    await make(path)
    const started = performance.now()
    const id = await stack.submit(path, options)
    const job = await stack.ends(id)
    expect(performance.now() - started).toBeLessThan(30_000)
    expect(job).toMatchObject({ status: 'failed', error: { code, message: expect.stringMatching(says) } })
    expect(job.error?.message).not.toMatch(/\n|\/tmp\//)
    expect(await stack.api.report(id)).toMatchObject({ status: 'failed', error: { code } })
    expect(await stack.namesUnder(`jobs/${id}/`)).toSatisfy((names: string[]) =>
      names.every((name) => /\/(?:job|plan|report|timeline)\.json$/.test(name)),
    )
  },
)

test('damage may be bridged: the nearest good frame takes the place, and the report names it', async () => {
  const id = await stack.submit(join(dir, 'damaged.mp4'), { onError: 'passthrough' })
  expect(await stack.ends(id)).toMatchObject({ status: 'succeeded', frames: { done: 60, total: 60 } })
  const report = (await stack.api.report(id)) as { framesReplaced: number[]; warnings: string[] }
  expect(report.framesReplaced.length).toBeGreaterThan(0)
  expect(report.warnings.join()).toMatch(/nearest good frame/)
})

test('more damage than errorThreshold allows fails the job', async () => {
  const id = await stack.submit(join(dir, 'damaged.mp4'), { onError: 'passthrough', errorThreshold: 0 })
  expect(await stack.ends(id)).toMatchObject({ status: 'failed', error: { code: 'too-many-errors' } })
})

const requests: [what: string, status: number, code: string, body: () => unknown][] = [
  ['no body', 400, 'bad-request', () => undefined],
  ['wrong types', 400, 'bad-request', () => ({ source: { url: 7 }, model: 'passthrough' })],
  [
    'an unknown field',
    400,
    'bad-request',
    () => ({ source: { url: own('in/x.mp4') }, model: 'passthrough', colour: 'red' }),
  ],
  [
    'a body over the limit',
    413,
    'bad-request',
    () => ({ source: { url: own('in/x.mp4') }, model: 'x'.repeat(1_100_000) }),
  ],
  [
    'a source that is not there',
    422,
    'source-not-found',
    () => ({ source: { url: own('in/nowhere.mp4') }, model: 'passthrough' }),
  ],
  [
    'a host that is not allowed',
    422,
    'host-not-allowed',
    () => ({ source: { url: 'http://169.254.169.254/metadata' }, model: 'passthrough' }),
  ],
  [
    'an empty source',
    422,
    'source-empty',
    () => ({ source: { url: own('in/empty.mp4') }, model: 'passthrough' }),
  ],
  [
    'an unknown model',
    422,
    'unknown-model',
    () => ({ source: { url: own('in/good.mp4') }, model: 'van-gogh' }),
  ],
  [
    'a codec its container can not hold',
    422,
    'bad-output',
    () => ({
      source: { url: own('in/good.mp4') },
      model: 'passthrough',
      output: { container: 'webm', codec: 'h264' },
    }),
  ],
  [
    "another job's files as the output",
    422,
    'reserved-name',
    () => ({
      source: { url: own('in/good.mp4') },
      model: 'passthrough',
      output: { url: own('jobs/x/plan.json') },
    }),
  ],
  [
    "another job's files as the output, behind escapes",
    422,
    'bad-url',
    () => ({
      source: { url: own('in/good.mp4') },
      model: 'passthrough',
      output: { url: `${own('x')}%2F..%2Fjobs%2Fx%2Foutput.mp4` },
    }),
  ],
  [
    "another job's secret as the source",
    422,
    'reserved-name',
    () => ({ source: { url: own('jobs/x/secret.json') }, model: 'passthrough' }),
  ],
  [
    'an output elsewhere without a SAS',
    422,
    'output-forbidden',
    () => ({
      source: { url: own('in/good.mp4') },
      model: 'passthrough',
      output: { url: `${hostUrl}/out.mp4` },
    }),
  ],
  [
    'a name with broken escapes',
    422,
    'bad-url',
    () => ({ source: { url: `${own('in')}/%E0%A4%A.mp4` }, model: 'passthrough' }),
  ],
  [
    'a source that redirects',
    422,
    'source-redirects',
    () => ({ source: { url: `${hostUrl}/redirect` }, model: 'passthrough' }),
  ],
  [
    'a source that may not be read',
    422,
    'source-forbidden',
    () => ({ source: { url: `${hostUrl}/forbidden?sig=SECRETSECRET` }, model: 'passthrough' }),
  ],
]
const own = (name: string) => stack.media.url(name)

test.for(requests)('%s is refused at once', async ([, status, code, body]) => {
  await stack.media.write('in/empty.mp4', Buffer.alloc(0))
  await stack.media.uploadFile('in/good.mp4', join(dir, 'good.mp4'))
  host.removeAllListeners('request').on('request', (request, answer) => {
    if (request.url?.startsWith('/redirect')) answer.writeHead(302, { location: 'http://127.0.0.1:1/' }).end()
    else answer.writeHead(403).end()
  })
  const sent = body()
  const answer = await stack.call('POST', '/v1/jobs', {
    ...(sent === undefined ? {} : { body: JSON.stringify(sent) }),
    headers: { 'content-type': 'application/json' },
  })
  expect(answer.headers.get('content-type')).toMatch(/^application\/problem\+json/)
  const problem = (await answer.json()) as { detail: string }
  expect(problem).toMatchObject({ status, code })
  expect(answer.status).toBe(status)
  expect(problem.detail).not.toMatch(/SECRET/)
})

test('a source that changed after it was accepted fails the job', async () => {
  const bytes = await readFile(join(dir, 'good.mp4'))
  // The version that was looked at is gone when it is fetched.
  host.removeAllListeners('request').on('request', (request, answer) => {
    const etag = request.method === 'HEAD' ? '"one"' : '"two"'
    answer
      .writeHead(200, { etag, 'content-length': bytes.length })
      .end(request.method === 'HEAD' ? undefined : bytes)
  })
  const { id } = await stack.api.submit({
    source: { url: `${hostUrl}/film.mp4?sig=SECRETSECRET` },
    model: 'passthrough',
  })
  const job = await stack.ends(id)
  expect(job).toMatchObject({ status: 'failed', error: { code: 'source-changed' } })
  expect(JSON.stringify(job)).not.toMatch(/SECRET/)
})

test('a model that refuses the size fails the job, with the reason', async () => {
  const model = await stack.addModel(odd(), { name: 'odd' })
  const id = await stack.submit(join(dir, 'good.mp4'), { model })
  expect(await stack.ends(id)).toMatchObject({ status: 'failed', error: { code: 'model-refuses' } })
})

async function cutShort(path: string) {
  await makeClip({
    path,
    frames: 250,
    video: ['-c:v', 'libx264', '-preset', 'ultrafast', '-movflags', '+faststart'],
  })
  await truncate(path, Math.floor((await readFile(path)).length / 2))
}

async function headless(path: string) {
  await makeClip({ path, frames: 250, video: ['-c:v', 'libx264', '-preset', 'ultrafast'] })
  await truncate(path, Math.floor((await readFile(path)).length / 2))
}

async function keyless(path: string) {
  const whole = join(dir, 'whole.mkv')
  await makeClip({
    path: whole,
    sound: false,
    video: ['-c:v', 'libx264', '-preset', 'ultrafast', '-g', '1000', '-sc_threshold', '0'],
  })
  await ffmpeg('-i', whole, '-c', 'copy', '-bsf:v', 'noise=drop=key', path)
}

async function joined(path: string) {
  const one = join(dir, 'one.ts')
  await makeClip({ path: one, sound: false })
  const bytes = await readFile(one)
  await writeFile(path, Buffer.concat([bytes, bytes]))
}
