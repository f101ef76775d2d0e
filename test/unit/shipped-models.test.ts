import { InferenceSession, Tensor } from 'onnxruntime-node'
import { expect, test } from 'vitest'
import { openImage } from '../../src/shared/image.ts'
import { inspectModel } from '../../src/shared/models/inspect.ts'
import { sha256 } from '../../src/shared/models/model-store.ts'
import { shippedModels } from '../../src/shared/models/shipped.ts'
import { wrapModel } from '../../src/shared/models/wrap.ts'

const models = await shippedModels()
const trained = models.filter(({ manifest }) => !['passthrough', 'relief'].includes(manifest.name))

test('every model that is named in the documents is there', () => {
  const names = models.map(({ manifest }) => manifest.name)
  expect(names).toEqual(['composition-vii', 'great-wave', 'starry-night', 'passthrough', 'relief'])
})

test.for(models)('$manifest.name has a small picture of what it does', async ({ picture }) => {
  const { format, width, height } = await openImage(picture ?? '').metadata()
  expect({ format, width, height }).toEqual({ format: 'jpeg', width: 320, height: 180 })
  expect(picture?.length).toBeLessThan(15_000)
})

test.for(trained)('$manifest.name is small, whole, and runs anywhere', async ({ manifest, bytes }) => {
  expect(manifest.sha256).toBe(sha256(bytes))
  expect(manifest.licence).toBeTruthy()
  expect(bytes.length).toBeLessThanOrEqual(2_000_000)
  const { opset, inputs } = inspectModel(bytes)
  expect(opset).toBeGreaterThanOrEqual(17)
  expect(inputs).toHaveLength(1)

  // A size that is no multiple of four, and a picture that is not blank.
  const frame = { width: 90, height: 62, batch: 1 }
  const session = await InferenceSession.create(wrapModel(bytes, manifest, frame))
  const pixels = Uint8Array.from({ length: 90 * 62 * 3 }, (_, i) => (i * 7919) % 256)
  const { [session.outputNames[0] ?? '']: scored } = await session.run({
    [session.inputNames[0] ?? '']: new Tensor('uint8', pixels, [1, 62, 90, 3]),
  })
  expect(scored?.dims).toEqual([1, 62, 90, 3])
  expect(new Set(scored?.data as Uint8Array).size).toBeGreaterThan(50)
})
