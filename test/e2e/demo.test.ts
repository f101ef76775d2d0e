import { spawn } from 'node:child_process'
import { readFile, readdir, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { builtinModels } from '../../src/shared/models/builtin.ts'
import { makeClip } from '../support/clips.ts'
import { compareVideo } from '../support/compare-video.ts'
import { tempDir } from '../support/temp-dir.ts'

const dir = tempDir()

/** Runs `npm run demo -- ARGS` as a user would, in the checkout. */
async function demo(...args: string[]) {
  const before = new Set(await demoFolders())
  const child = spawn('npm', ['run', '--silent', 'demo', '--', ...args, '--json'], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const [stdout, stderr] = [collect(child.stdout), collect(child.stderr)]
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve))
  const left = (await demoFolders()).filter((name) => !before.has(name))
  return { code, stdout: stdout(), stderr: stderr(), left }
}

const demoFolders = async () =>
  (await readdir(tmpdir())).filter((name) => name.startsWith('framefleet-demo-'))

function collect(stream: NodeJS.ReadableStream) {
  let text = ''
  stream.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
  return () => text
}

test('with nothing at hand it renders a clip, scores it, and says so in one JSON object', async () => {
  const { code, stdout, left } = await demo('--out', join(dir, 'sample.mp4'))
  const said = JSON.parse(stdout) as Record<string, unknown>
  expect({ code, lines: stdout.trim().split('\n').length, left }).toEqual({ code: 0, lines: 1, left: [] })
  expect(Object.keys(said)).toEqual([
    'jobId',
    'status',
    'frames',
    'seconds',
    'fps',
    'output',
    'report',
    'warnings',
  ])
  expect(said).toMatchObject({
    status: 'succeeded',
    frames: 180,
    output: join(dir, 'sample.mp4'),
    warnings: [],
  })
  expect(JSON.parse(await readFile(String(said['report']), 'utf8'))).toMatchObject({ status: 'succeeded' })
  expect((await stat(join(dir, 'sample.preview.jpg'))).size).toBeGreaterThan(5_000)
})

test("a video and a model of the user's own, into the container that --out names", async () => {
  const video = await makeClip({ path: join(dir, 'mine.mp4'), frames: 30 })
  const model = builtinModels().find(({ manifest }) => manifest.name === 'passthrough')
  await writeFile(join(dir, 'my model.onnx'), model?.bytes ?? '')
  const { code, stdout } = await demo(
    video,
    '--model',
    join(dir, 'my model.onnx'),
    '--out',
    join(dir, 'mine.webm'),
    '--workers',
    '1',
  )
  expect({ code, said: JSON.parse(stdout) }).toMatchObject({
    code: 0,
    said: { status: 'succeeded', frames: 30 },
  })
  const found = await compareVideo(video, join(dir, 'mine.webm'))
  expect(found).toMatchObject({ frames: [30, 30], outOfPlace: 0, audio: [{ codec: ['aac', 'opus'] }] })
})

test('a file that is no video ends with a reason and a code, and leaves nothing', async () => {
  await writeFile(join(dir, 'letter.mp4'), 'dear sir')
  const { code, stdout, left } = await demo(join(dir, 'letter.mp4'))
  expect({ code, left, said: JSON.parse(stdout) }).toMatchObject({
    ...{ code: 1, left: [] },
    said: { status: 'failed', output: null, error: expect.stringMatching(/not a video/) },
  })
})

test('a file that is not there is said before anything is started', async () => {
  const { code, stdout, left } = await demo(join(dir, 'nowhere.mp4'))
  expect({ code, left, said: JSON.parse(stdout) }).toMatchObject({
    code: 1,
    left: [],
    said: { jobId: null, error: expect.stringMatching(/no file/) },
  })
})
