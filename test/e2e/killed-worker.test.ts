import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Queue } from 'bullmq'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { childPids } from '../../scripts/child-pids.ts'
import { startRole } from '../../src/shared/role-process.ts'
import { entryIds } from '../../src/shared/queues.ts'
import { makeClip } from '../support/clips.ts'
import { compareVideo } from '../support/compare-video.ts'
import { type TestStack, startTestStack } from '../support/stack.ts'
import { tempDir } from '../support/temp-dir.ts'

const dir = tempDir()
const source = join(dir, 'long.mp4')
let stack: TestStack
beforeAll(async () => {
  await makeClip({ path: source, frames: 600, size: '320x180' })
  stack = await startTestStack({ workers: 2, restart: false, env: { FRAMEFLEET_DRAIN_MS: '200' } })
})
afterAll(async () => await stack?.stop())

const options = { batch: { frames: 30 } }
const sha256 = async (id: string) =>
  ((await stack.api.report(id)) as { output: { sha256: string } }).output.sha256

test('an engine killed in the middle of a batch is started again, and the batch with it', async () => {
  const id = await stack.submit(source, options)
  await stack.until(id, ({ frames }) => frames.done >= 60)
  await signalEngine('SIGKILL')
  expect(await stack.ends(id)).toMatchObject({ status: 'succeeded', frames: { done: 600, total: 600 } })
  const log = await readFile(join(stack.dir, 'logs', 'worker-1.ndjson'), 'utf8')
  expect(stack.stack.workers()).toHaveLength(2)
  expect(log).not.toMatch(/"level":"fatal"/)
})

test('an engine that was stopped is killed, and its batch scored again', async () => {
  const id = await stack.submit(source, options)
  await stack.until(id, ({ frames }) => frames.done >= 60)
  await signalEngine('SIGSTOP')
  expect(await stack.ends(id)).toMatchObject({ status: 'succeeded', frames: { done: 600, total: 600 } })
})

test('a worker killed in the middle of a batch costs no frame and changes no byte', async () => {
  const reference = await stack.submit(source, options)
  await stack.ends(reference)

  const id = await stack.submit(source, options)
  await stack.until(id, ({ frames }) => frames.done >= 60)
  const killed = await stack.busyWorker()
  killed.process.kill('SIGKILL')
  const output = await stack.fetchOutput(id, join(dir, 'long.out.mp4'))

  const found = await compareVideo(source, output)
  expect(found).toMatchObject({ frames: [600, 600], outOfPlace: 0, worstTimeMs: 0 })
  expect(await sha256(id)).toBe(await sha256(reference))
  expect(stack.stack.workers()).toHaveLength(1)
})

test('a worker that is told to leave gives its batch back, no attempt spent, and the job goes on without it', async () => {
  // One batch of all frames: it can't be done within the time that a leaving worker has.
  const id = await stack.submit(source, { model: 'relief', batch: { frames: 600 } })
  const [leaving] = stack.stack.workers()
  await stack.until(id, ({ frames }) => frames.done > 0)
  leaving?.process.kill('SIGTERM')
  await new Promise((resolve) => leaving?.process.once('exit', resolve))
  const queue = new Queue('batch', {
    connection: { url: stack.stack.env['FRAMEFLEET_REDIS_URL'] },
    prefix: '{framefleet}',
  })
  const entry = entryIds.batch(id, 0)
  expect(await queue.getJob(entry)).toMatchObject({ attemptsMade: 0, attemptsStarted: 1 })
  expect((await queue.getJob(entry))?.finishedOn).toBeUndefined()

  const other = await startTestWorker()
  try {
    expect(await stack.ends(id)).toMatchObject({ status: 'succeeded', frames: { done: 600, total: 600 } })
    expect(await queue.getJob(entry)).toMatchObject({ attemptsMade: 1, attemptsStarted: 2 })
  } finally {
    await other.stop(10_000)
    await queue.close()
  }
})

async function signalEngine(signal: NodeJS.Signals): Promise<void> {
  const { process: worker } = await stack.busyWorker()
  const [engine] = await childPids(worker.pid ?? 0)
  // A signal to nobody goes to all of the group, ours.
  if (engine === undefined) throw new Error(`worker ${worker.pid} has no engine`)
  process.kill(engine, signal)
}

/** One more worker for the stack, as an operator would add one. */
async function startTestWorker() {
  return await startRole({
    name: 'worker-late',
    main: new URL('../../src/worker/main.ts', import.meta.url),
    env: stack.stack.env,
    logFile: join(stack.dir, 'logs', 'worker-late.ndjson'),
  })
}
