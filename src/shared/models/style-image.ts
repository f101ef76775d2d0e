import { InputError } from '../errors.ts'
import { openImage } from '../image.ts'
import type { ModelManifest } from './manifest.ts'
import type { StyleImage } from './wrap.ts'

export type StyleSpec = NonNullable<ModelManifest['style']>

/** Largest file that is taken as a style image. */
export const maxStyleBytes = 50_000_000

/**
 * A style image as a model takes it: upright, without transparency, in the size its manifest wants, as a PNG.
 * `shown` is what the error calls it. Throws InputError `style-unreadable` for what is not an image.
 */
export async function prepareStyle(file: Buffer | string, spec: StyleSpec, shown: string): Promise<Buffer> {
  try {
    const image = openImage(file)
    const { width, height } = (await image.metadata()).autoOrient
    const upright = image.autoOrient().flatten({ background: '#ffffff' }).toColourspace('srgb')
    const side = styleSize(spec, { width, height })
    return await upright.resize(side.width, side.height, { fit: 'cover' }).removeAlpha().png().toBuffer()
  } catch (cause) {
    throw new InputError('style-unreadable', `The style ${shown} is not an image that can be read.`, {
      cause,
    })
  }
}

/** Reads what `prepareStyle` wrote. */
export async function readStyle(png: Buffer): Promise<StyleImage> {
  const { data, info } = await openImage(png).raw().toBuffer({ resolveWithObject: true })
  return { width: info.width, height: info.height, pixels: data }
}

function styleSize({ size }: StyleSpec, image: { width: number; height: number }) {
  if ('width' in size) return size
  const scale = size.longSide / Math.max(image.width, image.height)
  const side = (pixels: number) =>
    Math.max(size.multipleOf, Math.round((pixels * scale) / size.multipleOf) * size.multipleOf)
  return { width: side(image.width), height: side(image.height) }
}
