import sharp, { type Sharp } from 'sharp'

// libvips keeps a thread pool and a cache of its own; here it works on a few small pictures, once a job.
sharp.concurrency(1)
sharp.cache(false)
// An SVG is a program that may read other files.
const drawings = { operation: ['VipsForeignLoadSvg'] }
sharp.block(drawings)

/** A picture from a file or from memory, 64 megapixels at most. */
export function openImage(input: string | Buffer): Sharp {
  return sharp(input, { limitInputPixels: 64e6 })
}

/** Draws an SVG of our own making into a PNG file. Meanwhile anybody's would be drawn. */
export async function drawOwn(svg: string, path: string): Promise<void> {
  sharp.unblock(drawings)
  try {
    await sharp(Buffer.from(svg)).png().toFile(path)
  } finally {
    sharp.block(drawings)
  }
}

/** An empty picture of one colour. */
export function blankImage(width: number, height: number, background: string): Sharp {
  return sharp({ create: { width, height, channels: 3, background } })
}

/** Raw RGB pixels, brought to another size. */
export async function resizeRgb(pixels: Uint8Array, from: Size, to: Size): Promise<Uint8Array> {
  if (from.width === to.width && from.height === to.height) return pixels
  const raw = { width: from.width, height: from.height, channels: 3 } as const
  return await sharp(pixels, { raw }).resize(to.width, to.height, { fit: 'fill' }).raw().toBuffer()
}

type Size = { width: number; height: number }
