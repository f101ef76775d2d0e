import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import sharp, { type Sharp } from 'sharp'
import { expect, test } from 'vitest'
import { imageFormats } from '../../src/shared/items/request.ts'
import { decodeImage, encodeImage, lookAtImage } from '../../src/worker/items/image-files.ts'
import { difference, picture, pixelsOf } from '../support/pictures.ts'
import { tempDir } from '../support/temp-dir.ts'

const dir = tempDir()
const size = { width: 12, height: 8 }
let count = 0

async function fileOf(image: Sharp): Promise<string> {
  const path = join(dir, `image-${count++}`)
  writeFileSync(path, await image.toBuffer())
  return path
}

const alpha = Buffer.from(Array.from({ length: size.width * size.height }, (_, i) => (i * 7) & 0xff))
const seeThrough = () => picture(size).joinChannel(alpha, { raw: { ...size, channels: 1 } })

/** Where the pixel that is shown at x and y lies in the file, by the number of its orientation. */
const turned: ((x: number, y: number) => [number, number])[] = [
  (x, y) => [x, y],
  (x, y) => [size.width - 1 - x, y],
  (x, y) => [size.width - 1 - x, size.height - 1 - y],
  (x, y) => [x, size.height - 1 - y],
  (x, y) => [y, x],
  (x, y) => [y, size.height - 1 - x],
  (x, y) => [size.width - 1 - y, size.height - 1 - x],
  (x, y) => [size.width - 1 - y, x],
]

test.each(turned.map((at, i) => [i + 1, at] as const))(
  'upright by EXIF orientation %i',
  async (orientation, at) => {
    const path = await fileOf(picture(size).withMetadata({ orientation }).png())
    const facts = await lookAtImage(path)
    const shown = orientation < 5 ? size : { width: size.height, height: size.width }
    expect(facts).toMatchObject(shown)
    const source = pixelsOf(size)
    const expected = Array.from({ length: shown.width * shown.height }, (_, i) => {
      const [x, y] = at(i % shown.width, Math.floor(i / shown.width))
      const from = (y * size.width + x) * 3
      return [...source.subarray(from, from + 3)]
    }).flat()
    expect([...(await decodeImage(path, facts, shown))]).toEqual(expected)
  },
)

test.each<[string, () => Sharp, number]>([
  ['16 bits a channel', () => picture(size).toColourspace('rgb16').png(), 0],
  ['grey', () => picture(size).greyscale().png(), 60],
  ['a palette', () => picture(size).png({ palette: true }), 12],
  ['CMYK', () => picture(size).toColourspace('cmyk').jpeg({ quality: 100 }), 60],
  ['16 bits of TIFF', () => picture(size).toColourspace('rgb16').tiff({ compression: 'lzw' }), 0],
  ['a GIF', () => picture(size).gif(), 12],
])('%s comes to the model as RGB of 8 bits', async (_, image, apart) => {
  const path = await fileOf(image())
  const facts = await lookAtImage(path)
  const pixels = await decodeImage(path, facts, size)
  expect(pixels).toHaveLength(size.width * size.height * 3)
  expect(difference(pixels, pixelsOf(size)).mean).toBeLessThanOrEqual(apart)
})

test('what is transparent lies over white for the model', async () => {
  const path = await fileOf(seeThrough().png())
  const pixels = await decodeImage(path, await lookAtImage(path), size)
  const source = pixelsOf(size)
  const over = [...source].map((value, i) => {
    const share = (alpha[Math.floor(i / 3)] ?? 0) / 255
    return value * share + 255 * (1 - share)
  })
  expect(Math.max(...over.map((value, i) => Math.abs(value - (pixels[i] ?? 0))))).toBeLessThanOrEqual(1)
})

test.each(imageFormats)(
  'a scored picture as %s: what was transparent is so again, but in JPEG',
  async (format) => {
    const path = await fileOf(seeThrough().png())
    const facts = await lookAtImage(path)
    const made = await encodeImage({
      ...{ pixels: pixelsOf(size), size, picture: size },
      source: { path, facts },
      output: { format, quality: format === 'png' || format === 'tiff' ? undefined : 100 },
    })
    const { hasAlpha, width, height, format: is, ...rest } = await sharp(made).metadata()
    expect({ hasAlpha, width, height, is }).toEqual({
      hasAlpha: format !== 'jpeg',
      ...size,
      is: format === 'avif' ? 'heif' : format,
    })
    expect([rest.icc, rest.exif]).toEqual([undefined, undefined])
    const shown = await sharp(made).removeAlpha().raw().toBuffer()
    const lossless = format === 'png' || format === 'tiff'
    expect(difference(shown, pixelsOf(size)).mean).toBeLessThanOrEqual(lossless ? 0 : 25)
    if (format === 'jpeg') return
    const kept = await sharp(made).extractChannel('alpha').raw().toBuffer()
    expect(difference(kept, alpha).mean).toBeLessThanOrEqual(format === 'avif' ? 3 : 0)
  },
)

test.each([
  ['nothing', Buffer.alloc(0)],
  ['a text', Buffer.from('This is no image.')],
  ['an SVG', Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>')],
])('%s is no image', async (_, bytes) => {
  const path = join(dir, `bad-${count++}`)
  writeFileSync(path, bytes)
  const error: unknown = await lookAtImage(path).catch((why: unknown) => why)
  expect(error).toMatchObject({ code: 'bad-image' })
  // Where it lay is nobody's business.
  expect((error as Error).message).not.toContain(dir)
})
