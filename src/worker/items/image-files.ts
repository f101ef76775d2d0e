import sharp from 'sharp'
import { classify } from '../../shared/classify.ts'
import { InputError } from '../../shared/errors.ts'
import { openImage } from '../../shared/image.ts'
import type { ImageFormat, ImagesOutput } from '../../shared/items/request.ts'
import type { Size } from '../../shared/models/fit.ts'

/** What an image file says of itself; sides as it is shown, its EXIF orientation applied. */
export type ImageFacts = Size & { format: ImageFormat; hasAlpha: boolean }

/** What libvips calls them, and what is written where a job asks for no other format. */
const readable: Record<string, ImageFormat> = {
  ...{ jpeg: 'jpeg', png: 'png', webp: 'webp', tiff: 'tiff' },
  ...{ heif: 'avif', avif: 'avif', gif: 'png' },
}

/**
 * Looks at an image file without decoding it. Throws InputError `bad-image` for what is none, or is of a kind that is not read;
 * of a file with several pictures the first one counts.
 */
export async function lookAtImage(path: string): Promise<ImageFacts> {
  const facts = await openImage(path)
    .metadata()
    .catch((error: unknown) => {
      throw badImage(error)
    })
  const format = readable[facts.format]
  if (!format)
    throw new InputError('bad-image', `It is ${facts.format}; jpeg, png, webp, tiff, avif and gif are read.`)
  const { width, height } = facts.autoOrient
  return { width, height, format, hasAlpha: facts.hasAlpha }
}

/** Behind what is transparent: what it hides is nobody's picture. */
const paper = '#ffffff'

/**
 * The picture as the model takes it: upright, in sRGB by its ICC profile, 8 bits a channel, over white where it is transparent,
 * RGB row by row in the size of `frame`. Throws InputError `bad-image` for a file that is broken.
 */
export async function decodeImage(path: string, { width, height, hasAlpha }: ImageFacts, frame: Size) {
  let picture = openImage(path).autoOrient().toColourspace('srgb')
  if (hasAlpha) picture = picture.flatten({ background: paper })
  if (frame.width !== width || frame.height !== height)
    picture = picture.resize(frame.width, frame.height, { fit: 'fill' })
  const { data, info } = await picture
    .raw({ depth: 'uchar' })
    .toBuffer({ resolveWithObject: true })
    .catch((error: unknown) => {
      throw badImage(error)
    })
  if (info.channels === 3 && info.width === frame.width && info.height === frame.height) return data
  throw new InputError('bad-image', `It gives ${info.width}x${info.height} with ${info.channels} channels.`)
}

type Made = {
  pixels: Uint8Array
  size: Size
  /** What the image is to be of. */
  picture: Size
  source: { path: string; facts: ImageFacts }
  output: ImagesOutput
}

/**
 * A scored picture as a file. What was transparent is so again, in the same places, where the format can say it; JPEG can't and keeps
 * the white. Bytes depend on the pixels alone. Throws InputError `bad-image` for one that its format can't hold: WebP ends at
 * 16,383 pixels a side.
 */
export async function encodeImage(made: Made): Promise<Buffer> {
  const { source, output, picture } = made
  const format = output.format ?? source.facts.format
  return await encodeAs(format, made).catch((error: unknown) => {
    if (classify(error) !== 'unknown') throw error
    const what = `${picture.width}x${picture.height}`
    const text = `What becomes of it, ${what}, can't be written as ${format}: ${reason(error)}.`
    throw new InputError('bad-image', text, { cause: error })
  })
}

async function encodeAs(format: ImageFormat, { pixels, size, picture, source, output }: Made) {
  const raw = { width: size.width, height: size.height, channels: 3 } as const
  let image = sharp(pixels, { raw })
  if (picture.width !== size.width || picture.height !== size.height)
    image = sharp(await image.resize(picture.width, picture.height, { fit: 'fill' }).raw().toBuffer(), {
      raw: { ...picture, channels: 3 },
    })
  if (source.facts.hasAlpha && format !== 'jpeg')
    image = image.joinChannel(await alphaOf(source.path, picture), { raw: { ...picture, channels: 1 } })
  const { quality } = output
  const wish = quality === undefined ? {} : { quality }
  if (format === 'png') return await image.png().toBuffer()
  if (format === 'tiff') return await image.tiff({ compression: 'deflate' }).toBuffer()
  if (format === 'webp') return await image.webp({ quality: 90, ...wish }).toBuffer()
  if (format === 'avif') return await image.avif({ quality: 60, effort: 2, ...wish }).toBuffer()
  return await image.jpeg({ quality: 92, ...wish }).toBuffer()
}

async function alphaOf(path: string, { width, height }: Size): Promise<Buffer> {
  return await openImage(path)
    .autoOrient()
    .ensureAlpha()
    .extractChannel('alpha')
    .resize(width, height, { fit: 'fill' })
    .toColourspace('b-w')
    .raw({ depth: 'uchar' })
    .toBuffer()
}

function badImage(error: unknown): InputError {
  const why = reason(error)
  const text = `It can't be read as an image: ${/failOn/.test(why) ? 'it is damaged' : why}.`
  return new InputError('bad-image', text, { cause: error })
}

/** In libvips' words, but for our own file, whose name tells nobody anything. */
const reason = (error: unknown) =>
  ((error as Error).message.split('\n')[0] ?? '').replaceAll(/\/\S+/g, 'the file')
