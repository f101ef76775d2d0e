import sharp from 'sharp'

export type MadeImage = { name: string; bytes: Buffer; isBroken: boolean }

/** The n-th of so many sizes. */
const sizeOf = (n: number, sizes: number) => ({ width: 96 + 2 * (n % sizes), height: 64 + (n % sizes) })

/**
 * The n-th image of the folder: JPEG, PNG and WebP by turns, each of its own colours, of so many sizes by turns. One in a hundred is broken: by turns cut
 * off in the middle, empty, a text, or noise. The same number always gives the same bytes.
 */
export async function makeImage(n: number, sizes = 1): Promise<MadeImage> {
  const kinds = ['jpg', 'png', 'webp'] as const
  const kind = kinds[n % 3] ?? 'png'
  const size = sizeOf(n, sizes)
  const image = sharp(Buffer.from(pixels(n, size)), { raw: { ...size, channels: 3 } })
  const encoded = kind === 'jpg' ? image.jpeg() : kind === 'png' ? image.png() : image.webp()
  const whole = await encoded.toBuffer()
  const isBroken = n % 100 === 42
  const name = `${String(Math.floor(n / 1_000)).padStart(2, '0')}/${String(n).padStart(6, '0')}.${kind}`
  return { name, isBroken, bytes: isBroken ? broken(whole, Math.floor(n / 100) % 4) : whole }
}

function broken(whole: Buffer, how: number): Buffer {
  if (how === 0) return whole.subarray(0, whole.length >> 1)
  if (how === 1) return Buffer.alloc(0)
  if (how === 2) return Buffer.from('This is no image, whatever it is called.\n')
  const noisy = Buffer.from(whole)
  for (let i = 2; i < noisy.length; i++) noisy[i] = (i * 151 + 7) & 0xff
  return noisy
}

function pixels(n: number, { width, height }: { width: number; height: number }): Uint8Array {
  return Uint8Array.from({ length: width * height * 3 }, (_, i) => {
    const [x, y, channel] = [Math.floor(i / 3) % width, Math.floor(i / 3 / width), i % 3]
    const inside = (x - width / 2) ** 2 + (y - height / 2) ** 2 < (10 + (n % 20)) ** 2
    return ((inside ? 200 : 60) + n * (channel + 1) * 7 + x + y * channel) & 0xff
  })
}
