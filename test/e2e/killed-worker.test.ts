import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { makeClip } from '../support/clips.ts'
import { compareVideo } from '../support/compare-video.ts'
import { type TestStack, startTestStack } from '../support/stack.ts'
import { tempDir } from '../support/temp-dir.ts'

const dir = tempDir()
let stack: TestStack
beforeAll(async () => {
  stack = await startTestStack({ workers: 2, restart: false })
})
afterAll(async () => await stack?.stop())

const options = { batch: { frames: 30 } }
const sha256 = async (id: string) =>
  ((await stack.api.report(id)) as { output: { sha256: string } }).output.sha256

test('a worker killed in the middle of a batch costs no frame and changes no byte', async () => {
  const source = await makeClip({ path: join(dir, 'long.mp4'), frames: 600, size: '320x180' })
  const reference = await stack.submit(source, options)
  await stack.ends(reference)

  const id = await stack.submit(source, options)
  await stack.until(id, ({ frames }) => frames.done >= 60)
  stack.stack.workers()[0]?.process.kill('SIGKILL')
  const output = await stack.fetchOutput(id, join(dir, 'long.out.mp4'))

  const found = await compareVideo(source, output)
  expect(found).toMatchObject({ frames: [600, 600], outOfPlace: 0, worstTimeMs: 0 })
  expect(await sha256(id)).toBe(await sha256(reference))
  expect(stack.stack.workers()).toHaveLength(1)
})

test('a worker that is told to leave gives its batch back, and the job goes on without it', async () => {
  stack.stack.workers()[0]?.process.kill('SIGTERM')
  const source = join(dir, 'long.mp4')
  const id = await stack.submit(source, options)
  const other = await startTestWorker()
  try {
    expect(await stack.ends(id)).toMatchObject({ status: 'succeeded', frames: { done: 600, total: 600 } })
  } finally {
    await other.stop(10_000)
  }
})

/** One more worker for the stack, as an operator would add one. */
async function startTestWorker() {
  const { startRole } = await import('../../src/cli/services.ts')
  return await startRole({
    name: 'worker-late',
    main: new URL('../../src/worker/main.ts', import.meta.url),
    env: stack.stack.env,
    logFile: join(stack.dir, 'logs', 'worker-late.ndjson'),
  })
}
