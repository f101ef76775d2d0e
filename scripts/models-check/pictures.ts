import sharp from 'sharp'

/** RGB in 0..1: one plane of a colour after another, each row by row. */
export type Picture = { width: number; height: number; planes: Float32Array }
export type Size = { width: number; height: number }

/**
 * Reads a picture file and scales it, up or down, to cover `size`; what sticks out is cut off evenly.
 * Throws sharp's own error for a file that is not a picture.
 */
export async function readPicture(path: string, size: Size): Promise<Picture> {
  const { width, height } = size
  const image = sharp(path).autoOrient().resize({ width, height, fit: 'cover', kernel: 'lanczos3' })
  return fromBytes(await image.removeAlpha().toColourspace('srgb').raw().toBuffer(), size)
}

/** Reads a painting at this many pixels on its shorter side, both sides brought to multiples of 8. */
export async function readPainting(path: string, shortSide: number): Promise<Picture> {
  const { autoOrient: whole } = await sharp(path).metadata()
  const scale = shortSide / Math.min(whole.width, whole.height)
  const side = (pixels: number) => Math.max(8, Math.round((pixels * scale) / 8) * 8)
  return await readPicture(path, { width: side(whole.width), height: side(whole.height) })
}

/** From uint8 RGB, row by row, a pixel's three colours side by side. */
export function fromBytes(pixels: Uint8Array, { width, height }: Size): Picture {
  const plane = width * height
  const planes = Float32Array.from({ length: 3 * plane }, (_, i) => {
    const colour = Math.floor(i / plane)
    return (pixels[(i % plane) * 3 + colour] ?? 0) / 255
  })
  return { width, height, planes }
}

/** The other way round; values are rounded, and cut to 0..1. */
export function toBytes({ width, height, planes }: Picture): Uint8Array {
  const plane = width * height
  const pixels = new Uint8ClampedArray(3 * plane)
  for (const [i, value] of planes.entries()) pixels[(i % plane) * 3 + Math.floor(i / plane)] = value * 255
  return new Uint8Array(pixels.buffer)
}

/** The part of a picture whose upper left corner is at (left, top); it must lie within the picture. */
export function crop(picture: Picture, left: number, top: number, { width, height }: Size): Picture {
  const planes = new Float32Array(3 * width * height)
  for (let colour = 0; colour < 3; colour++) {
    for (let y = 0; y < height; y++) {
      const from = (colour * picture.height + top + y) * picture.width + left
      planes.set(picture.planes.subarray(from, from + width), (colour * height + y) * width)
    }
  }
  return { width, height, planes }
}
