import sharp from 'sharp'

/** Colours in mixtures that compress to little and yet differ from pixel to pixel; the seed makes each picture its own. */
export function pixelsOf({ width, height }: { width: number; height: number }, seed = 0): Buffer {
  const pixels = Buffer.alloc(width * height * 3)
  for (let i = 0; i < pixels.length; i++) {
    const [x, y, channel] = [Math.floor(i / 3) % width, Math.floor(i / 3 / width), i % 3]
    pixels[i] = (x * 3 + y * 5 * (channel + 1) + seed * 17 + ((x >> 3) % 2) * 40) & 0xff
  }
  return pixels
}

const rawOf = ({ width, height }: { width: number; height: number }) =>
  ({ raw: { width, height, channels: 3 } }) as const

/** A picture from such pixels. */
export const picture = (size: { width: number; height: number }, seed = 0) =>
  sharp(pixelsOf(size, seed), rawOf(size))

/** RGB, as a viewer shows it. */
export async function shownPixels(file: Buffer): Promise<{ data: Buffer; width: number; height: number }> {
  const { data, info } = await sharp(file)
    .autoOrient()
    .toColourspace('srgb')
    .removeAlpha()
    .raw({ depth: 'uchar' })
    .toBuffer({ resolveWithObject: true })
  return { data, width: info.width, height: info.height }
}

/** The largest difference between two pictures of one size, and the mean. */
export function difference(a: Uint8Array, b: Uint8Array): { most: number; mean: number } {
  if (a.length !== b.length) throw new Error(`${a.length} and ${b.length} bytes`)
  let [most, sum] = [0, 0]
  for (let i = 0; i < a.length; i++) {
    const apart = Math.abs((a[i] ?? 0) - (b[i] ?? 0))
    most = Math.max(most, apart)
    sum += apart
  }
  return { most, mean: sum / a.length }
}
