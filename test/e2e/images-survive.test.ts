import { Redis } from 'ioredis'
import sharp from 'sharp'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { deadlyModel, failingModel } from '../../scripts/chaos/poison-models.ts'
import { layout } from '../../src/shared/layout.ts'
import { picture } from '../support/pictures.ts'
import { type TestStack, startTestStack } from '../support/stack.ts'

const count = 48
const size = { width: 320, height: 180 }
const request = { source: { images: { prefix: 'in-folder/' } }, model: 'relief', batch: { items: 4 } }
let stack: TestStack
let redis: Redis
beforeAll(async () => {
  stack = await startTestStack({ workers: 2, env: { FRAMEFLEET_RECONCILE_SECONDS: '1' } })
  redis = new Redis(stack.stack.env['FRAMEFLEET_REDIS_URL'] ?? '')
  for (const { bytes, manifest } of [deadlyModel(), failingModel()])
    await stack.addModel(bytes, { ...manifest })
  const file = await picture(size).png().toBuffer()
  for (let i = 0; i < count; i++) await stack.media.write(`in-folder/${String(i).padStart(2, '0')}.png`, file)
})
afterAll(async () => {
  redis?.disconnect()
  await stack?.stop()
})

type ItemsReport = {
  status: string
  output: { sha256: string }
  items: { total: number; failed: number; failures: { key: string; code: string }[] }
}
const report = async (id: string) => (await stack.api.report(id)) as unknown as ItemsReport
const submit = async (more: object = {}) => (await stack.api.submit({ ...request, ...more })).id

async function expectWhole(id: string): Promise<void> {
  expect(await stack.ends(id)).toMatchObject({ status: 'succeeded', frames: { done: count, total: count } })
  expect((await report(id)).items).toMatchObject({ total: count, failed: 0 })
  expect(await stack.namesUnder(layout.images(id))).toHaveLength(count)
  expect(await stack.namesUnder(layout.segments(id))).toEqual([])
}

test('all that Redis holds is lost in the middle: the job goes on', async () => {
  const id = await submit()
  await stack.until(id, ({ frames }) => frames.done >= 8)
  await redis.flushall()
  await expectWhole(id)
})

test('a job that is cancelled in the middle leaves no image', async () => {
  const id = await submit({ output: { images: { prefix: 'out-folder/' } } })
  await stack.until(id, ({ frames }) => frames.done >= 8)
  await stack.api.cancel(id)
  // It shows as cancelled at once; over it is when it says since when.
  expect(await stack.api.waitFor(id)).toMatchObject({
    status: 'cancelled',
    endedAt: expect.any(String) as string,
  })
  for (const left of ['out-folder/', layout.segments(id)]) expect(await stack.namesUnder(left)).toEqual([])
})

test.each(['deadly', 'failing'])(
  'an image that is poison to a model (%s) is one item that failed',
  async (model) => {
    const small = { width: 24, height: 16 }
    const white = await sharp({ create: { ...small, channels: 3, background: '#fff' } })
      .png()
      .toBuffer()
    for (const name of ['a', 'b', 'c', 'd', 'e'])
      await stack.media.write(
        `poison/${name}.png`,
        name === 'c' ? white : await picture(small).png().toBuffer(),
      )
    const id = await submit({ source: { images: { prefix: 'poison/' } }, model, batch: { items: 5 } })
    expect(await stack.ends(id)).toMatchObject({ status: 'succeeded' })
    expect((await report(id)).items).toMatchObject({
      total: 5,
      failed: 1,
      failures: [{ key: 'c.png', code: 'unscorable' }],
    })
    expect(await stack.namesUnder(layout.images(id))).toHaveLength(4)
  },
)

test('a batch that takes longer than the job allows is tried as often as it says, and no more', async () => {
  // A dozen such pictures take their PNG encoder alone many seconds.
  const large = await picture({ width: 2_400, height: 1_600 }).png().toBuffer()
  for (let i = 0; i < 12; i++) await stack.media.write(`large/${i}.png`, large)
  const source = { images: { prefix: 'large/' } }
  const id = await submit({ source, batch: { items: 12, maxTries: 2, timeoutSeconds: 1 } })
  const ended = await stack.ends(id)
  expect(ended).toMatchObject({ status: 'failed' })
  expect(ended.error?.message).toMatch(/longer than its 1 s/)
})

test('a worker killed in the middle of a batch costs no image', async () => {
  const id = await submit()
  await stack.until(id, ({ frames }) => frames.done >= 8)
  const killed = await stack.busyWorker()
  killed.process.kill('SIGKILL')
  await expectWhole(id)
})
