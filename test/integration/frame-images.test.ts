import { setImmediate } from 'node:timers/promises'
import { expect, test } from 'vitest'
import type { BlobStore } from '../../src/shared/blob-store.ts'
import { layout } from '../../src/shared/layout.ts'
import { keepAsImages, keptFrames } from '../../src/worker/frame-images.ts'
import { picture, pixelsOf } from '../support/pictures.ts'
import { useServices } from '../support/use-services.ts'

const services = useServices()
const size = { width: 8, height: 6 }
const range = { first: 20, count: 3 }
const { signal } = new AbortController()
const none = { replaced: [], through: [] }

test('an image says of itself what it shows instead of a scored frame, until somebody writes another one', async () => {
  const media = await services.container()
  const frames = { media, jobId: 'job', range, signal }
  expect(await keptFrames(frames)).toBeUndefined()
  const keeper = keepAsImages(frames, size, { replaced: [21], through: [22] })
  for (let frame = 0; frame < range.count; frame++) await keeper.write(pixelsOf(size, frame), frame)
  await keeper.finish()
  expect(await keptFrames(frames)).toEqual({ replaced: [21], through: [22] })
  await media.write(layout.frame('job', 21), await picture(size).png().toBuffer())
  expect(await keptFrames(frames)).toEqual({ replaced: [], through: [22] })
})

test('frames that are ended early are ended once none is written any more', async () => {
  const media = await services.container()
  const gate = Promise.withResolvers<void>()
  const write: BlobStore['write'] = async (...given) => {
    await gate.promise
    return await media.write(...given)
  }
  const keeper = keepAsImages({ media: { ...media, write }, jobId: 'ended', range, signal }, size, none)
  await keeper.write(pixelsOf(size), 0)
  await keeper.write(pixelsOf(size), 1)
  let ended = false
  const ending = Promise.resolve(keeper.kill()).then(() => (ended = true))
  await setImmediate()
  expect(ended).toBe(false)
  await expect(keeper.write(pixelsOf(size), 2)).rejects.toThrow('ended')
  gate.resolve()
  await ending
  const names: string[] = []
  for await (const { name } of media.list(layout.frames('ended'))) names.push(name)
  expect(names).toEqual([20, 21].map((frame) => layout.frame('ended', frame)))
})
