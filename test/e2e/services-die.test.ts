import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { makeClip } from '../support/clips.ts'
import { type TestStack, startTestStack } from '../support/stack.ts'
import { tempDir } from '../support/temp-dir.ts'

const dir = tempDir()
const clip = join(dir, 'clip.mp4')
let stack: TestStack
beforeAll(async () => {
  stack = await startTestStack({ workers: 2 })
  await makeClip({ path: clip, frames: 600, size: '320x180' })
})
afterAll(async () => await stack?.stop())

const service = (name: string) => stack.stack.services().find((each) => each.name === name)

/** Kills one without a word, and waits until another stands in its place. */
async function kill(name: string): Promise<void> {
  const killed = service(name)?.process
  killed?.kill('SIGKILL')
  await expect
    .poll(() => service(name)?.process.pid ?? killed?.pid, { timeout: 20_000 })
    .not.toBe(killed?.pid)
}

test.for(['redis', 'azurite'])(
  '%s killed in mid-job comes back with its data, and the job succeeds',
  async (name) => {
    const id = await stack.submit(clip, { model: 'relief', batch: { frames: 30 } })
    await stack.until(id, ({ frames }) => frames.done >= 90)
    await kill(name)
    expect(await stack.ends(id)).toMatchObject({ status: 'succeeded', frames: { done: 600, total: 600 } })
    expect(stack.stack.services()).toHaveLength(2)
  },
)

test('what storage has answered is still there after it was killed', async () => {
  const names = Array.from({ length: 20 }, (_, i) => `in/kept-${i}`)
  await Promise.all(names.map(async (name) => await stack.media.write(name, Buffer.from(name))))
  await kill('azurite')
  const kept = await Promise.all(names.map(async (name) => (await stack.media.read(name))?.toString()))
  expect(kept).toEqual(names)
})
