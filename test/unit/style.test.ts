import sharp from 'sharp'
import { expect, test } from 'vitest'
import { parseManifest } from '../../src/shared/models/manifest.ts'
import { prepareStyle, readStyle, type StyleSpec } from '../../src/shared/models/style-image.ts'
import { wrapModel } from '../../src/shared/models/wrap.ts'
import { noise, run } from '../support/onnx-models.ts'
import { styled } from '../support/models.ts'

const frame = { width: 10, height: 6, batch: 1 }

test.each(['RGB', 'BGR'])('every frame takes the style, which the model reads as %s', async (channels) => {
  const manifest = styleManifest({ channels })
  const pixels = noise(frame)
  const style = { width: 4, height: 2, pixels: new Uint8Array(24).map((_, i) => [200, 100, 20][i % 3] ?? 0) }
  const { data } = await run(wrapModel(styled(), manifest, frame, style), pixels, frame)
  const mean = channels === 'RGB' ? [200, 100, 20] : [20, 100, 200]
  const furthest = data.reduce(
    (most, value, i) => Math.max(most, Math.abs(value - ((pixels[i] ?? 0) + (mean[i % 3] ?? 0)) / 2)),
    0,
  )
  expect(furthest).toBeLessThanOrEqual(1)
})

test('a model that needs a style is not run without, and another takes none', () => {
  expect(() => wrapModel(styled(), styleManifest({}), frame)).toThrow(
    expect.objectContaining({ code: 'style-needed' }),
  )
  const plain = parseManifest({ name: 'plain', input: { name: 'content' } }, 'test')
  expect(() => wrapModel(styled(), plain, frame)).toThrow(/2 inputs \(content, style\)/)
})

test.each([
  [
    'names another tensor',
    { name: 'painting' },
    /names the style input "painting", the model has content, style/,
  ],
  ['says another type', { type: 'uint8', range: '0..255' }, /the manifest says uint8/],
])('a manifest that %s is refused', (_, style, sentence) => {
  expect(() => wrapModel(styled(), styleManifest(style), frame)).toThrow(sentence)
})

test.each([
  ['the long side', { size: { longSide: 64, multipleOf: 8 } }, 300, 200, 64, 40],
  ['a tall one', { size: { longSide: 64, multipleOf: 8 } }, 200, 300, 40, 64],
  ['never nothing', { size: { longSide: 64, multipleOf: 8 } }, 900, 3, 64, 8],
  ['one size', { size: { width: 48, height: 48 } }, 300, 200, 48, 48],
])('a style image is brought to size: %s', async (_, spec, width, height, wide, high) => {
  const file = await solid(width, height).png().toBuffer()
  const style = await readStyle(await prepareStyle(file, styleSpec(spec), 'it'))
  expect(style).toMatchObject({ width: wide, height: high })
  expect(new Uint8Array(style.pixels)).toEqual(
    new Uint8Array(wide * high * 3).map((_, i) => [10, 120, 230][i % 3] ?? 0),
  )
})

test('a style image is taken upright, and transparent parts are white', async () => {
  const lying = await solid(80, 40).withMetadata({ orientation: 6 }).jpeg().toBuffer()
  expect(await readStyle(await prepareStyle(lying, styleSpec({}), 'it'))).toMatchObject({
    width: 256,
    height: 512,
  })
  const clear = sharp({ create: { width: 8, height: 8, channels: 4, background: '#00000000' } })
  const { pixels } = await readStyle(await prepareStyle(await clear.png().toBuffer(), styleSpec({}), 'it'))
  expect(pixels.every((value) => value === 255)).toBe(true)
})

test.each([
  ['text', Buffer.from('no picture')],
  [
    'a drawing that is a program',
    Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'),
  ],
  ['nothing', Buffer.alloc(0)],
])('%s is no style image', async (_, file) => {
  await expect(prepareStyle(file, styleSpec({}), 'https://host/it')).rejects.toThrow(
    expect.objectContaining({
      code: 'style-unreadable',
      message: 'The style https://host/it is not an image that can be read.',
    }),
  )
})

const solid = (width: number, height: number) =>
  sharp({ create: { width, height, channels: 3, background: { r: 10, g: 120, b: 230 } } })

const nchw = { layout: 'NCHW', type: 'float32', range: '0..1' }

function styleManifest(style: object) {
  return parseManifest(
    {
      name: 'styled',
      input: { ...nchw, name: 'content' },
      output: nchw,
      style: { ...nchw, name: 'style', ...style },
    },
    'test',
  )
}

function styleSpec(style: object): StyleSpec {
  const { style: spec } = styleManifest(style)
  if (!spec) throw new Error('no style')
  return spec
}
