import { readFile } from 'node:fs/promises'
import { blankImage, openImage } from '../image.ts'
import { fitFrames } from './fit.ts'
import type { ModelManifest } from './manifest.ts'
import { scoreOnce } from './trial-run.ts'
import type { StyleImage } from './wrap.ts'

/** A photograph that no shipped model was trained on, beside the code. */
const photograph = new URL('../../../models/photographs/raccoon.jpg', import.meta.url)
const size = { width: 320, height: 180 }
/** Larger than it is shown: brushstrokes become finer so. */
const scoredAt = { width: 640, height: 360 }
/** So much of the picture shows the photograph itself. */
const share = 1 / 3
const quality = 70

/** What a model does, as a small JPEG: a photograph, and to the right of the line what the model makes of it. */
export async function drawPicture(
  bytes: Uint8Array,
  manifest: ModelManifest,
  style?: StyleImage,
): Promise<Buffer> {
  const photo = await readFile(photograph)
  const { frame } = fitFrames(manifest, scoredAt)
  const given = openImage(photo).removeAlpha().resize(frame.width, frame.height, { fit: 'fill' })
  const scored = await scoreOnce(bytes, manifest, { style, frame, pixels: await given.raw().toBuffer() })
  const raw = { width: scored.width, height: scored.height, channels: 3 } as const
  const after = await openImage(await openRaw(scored.pixels, raw))
    .resize(size.width, size.height, { fit: 'fill' })
    .png()
    .toBuffer()
  const left = Math.round(size.width * share)
  const before = await openImage(photo)
    .resize(size.width, size.height, { fit: 'fill' })
    .extract({ left: 0, top: 0, width: left, height: size.height })
    .png()
    .toBuffer()
  const line = await blankImage(2, size.height, '#ffffff').png().toBuffer()
  return await openImage(after)
    .composite([
      { input: before, left: 0, top: 0 },
      { input: line, left: left - 1, top: 0 },
    ])
    .jpeg({ quality, mozjpeg: true })
    .toBuffer()
}

async function openRaw(pixels: Uint8Array, raw: { width: number; height: number; channels: 3 }) {
  const picture = blankImage(raw.width, raw.height, '#000000')
  return await picture
    .composite([{ input: Buffer.from(pixels), raw, left: 0, top: 0 }])
    .png()
    .toBuffer()
}
