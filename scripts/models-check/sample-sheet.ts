import sharp from 'sharp'
import { type Picture, readPicture, toBytes } from './pictures.ts'
import { frame } from './steadiness.ts'

const columns = 4
const cell = { width: 320, height: 180 }

/** Writes a JPEG: up to four of the photographs, evenly chosen, and below each what the network makes of it. */
export async function writeSheet(
  path: string,
  run: (picture: Picture) => Promise<Picture>,
  photographs: string[],
): Promise<void> {
  const chosen = spread(photographs, columns)
  const cells = []
  for (const [column, photograph] of chosen.entries()) {
    const before = await readPicture(photograph, frame)
    const left = column * cell.width
    cells.push({ input: await shrink(before), left, top: 0 })
    cells.push({ input: await shrink(await run(before)), left, top: cell.height })
  }
  const size = { width: chosen.length * cell.width, height: 2 * cell.height }
  await sharp({ create: { ...size, channels: 3, background: 'white' } })
    .composite(cells)
    .jpeg({ quality: 80, chromaSubsampling: '4:4:4', mozjpeg: true })
    .toFile(path)
}

/** At most `count` of the items, evenly spaced, in their order. */
export const spread = <T>(items: T[], count: number): T[] =>
  items.length <= count
    ? items
    : items.filter(
        (_, i) => Math.floor((i * count) / items.length) !== Math.floor(((i - 1) * count) / items.length),
      )

async function shrink(picture: Picture): Promise<Buffer> {
  const raw = { width: picture.width, height: picture.height, channels: 3 } as const
  return await sharp(toBytes(picture), { raw })
    .resize({ ...cell, kernel: 'lanczos3' })
    .png()
    .toBuffer()
}
