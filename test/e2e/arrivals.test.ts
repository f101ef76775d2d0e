import { join } from 'node:path'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import type { TriggerRules } from '../../src/client/client.ts'
import { outputMark } from '../../src/shared/layout.ts'
import { makeClip } from '../support/clips.ts'
import { fixed } from '../support/models.ts'
import { type TestStack, startTestStack } from '../support/stack.ts'
import { tempDir } from '../support/temp-dir.ts'

const dir = tempDir()
let stack: TestStack
let clip = ''
beforeAll(async () => {
  stack = await startTestStack({ workers: 1, env: { FRAMEFLEET_ARRIVALS_POLL_SECONDS: '0.2' } })
  clip = await makeClip({ path: join(dir, 'clip.mp4'), frames: 24 })
})
afterAll(async () => await stack?.stop())

const until = async <T>(check: () => Promise<T>) =>
  await vi.waitFor(check, { timeout: 60_000, interval: 100 })

/** The job of a video that landed, once it has ended. */
async function ended(name: string) {
  const id = await until(async () => {
    const { jobs } = await stack.api.jobs()
    const job = jobs.find(({ source }) => source === stack.media.url(name))
    expect(job).toBeDefined()
    return job?.id ?? ''
  })
  return await stack.ends(id)
}

test('a video that lands is scored by its rule, and its output, which lands beside it, is not', async () => {
  const rules: TriggerRules = {
    rules: [
      {
        ...{ name: 'clips', prefix: 'in/clips/', suffixes: ['.mp4'] },
        job: { model: 'passthrough', output: { name: 'in/clips/{name}-done.mp4' } },
      },
    ],
  }
  await stack.api.setTriggers(rules)
  await stack.media.uploadFile('in/clips/a.mp4', clip)
  expect(await ended('in/clips/a.mp4')).toMatchObject({ status: 'succeeded' })
  const output = await stack.media.head('in/clips/a-done.mp4')
  expect(output?.metadata).toHaveProperty(outputMark)
  // Looked at in the order in which they landed: with this one the output has been.
  await stack.media.uploadFile('in/clips/b.mp4', clip)
  expect(await ended('in/clips/b.mp4')).toMatchObject({ status: 'succeeded' })
  expect((await stack.api.jobs()).jobs).toHaveLength(2)
})

test('what was refused is said with its reason, and starts once it can', async () => {
  await stack.api.setTriggers({ rules: [], triggerFiles: true })
  await stack.media.uploadFile('in/films/c.mp4', clip)
  await stack.media.writeJson('in/films/c.mp4.trigger.json', { model: 'of-tomorrow' })
  const record = await until(async () => {
    const { records } = await stack.api.quarantine()
    expect(records).toMatchObject([{ queue: 'arrivals', reason: 'refused', message: /of-tomorrow/ }])
    return records[0]?.id ?? ''
  })
  await expect(stack.api.retryQuarantined(record)).rejects.toMatchObject({ status: 422 })
  await stack.addModel(fixed(), { name: 'of-tomorrow', size: { width: 96, height: 64, fit: 'stretch' } })
  const { jobId } = await stack.api.retryQuarantined(record)
  expect(await stack.ends(jobId)).toMatchObject({
    status: 'succeeded',
    source: stack.media.url('in/films/c.mp4'),
  })
  expect((await stack.api.quarantine()).total).toBe(0)
})
