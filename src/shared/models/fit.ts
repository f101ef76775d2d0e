import { InputError } from '../errors.ts'
import type { ModelManifest } from './manifest.ts'

export type Size = { width: number; height: number }

/** Where tiles begin in a frame, in pixels from its left and its top edge; all are of the model's one size. */
export type Tiles = { columns: number[]; rows: number[]; width: number; height: number }

/** What a model's graph does with a frame. */
export type Framing = {
  /** The frame with what is added to its right and at its bottom. */
  padded: Size
  /** Set when the model sees the frame in parts. */
  tiles?: Tiles
  /** What is left when the padding is cropped off again. */
  output: Size
}

/**
 * The size in which a source's frames come to the model, and that of the pictures it becomes:
 *
 *   free size    as it is             times the model's scale
 *   stretch      the model's size     stretched back to the source's
 *   letterbox    inside the model's   scaled back to the source's
 *   tile         as it is             times the model's scale
 */
export function fitFrames(manifest: ModelManifest, source: Size): { frame: Size; picture: Size } {
  const { size } = manifest
  const { width, height } = source
  if (!('width' in size) || size.fit === 'tile') {
    return { frame: { width, height }, picture: frameThrough(manifest, source).output }
  }
  const inside = size.fit === 'stretch' ? size : sizeInside(source, size)
  return { frame: { width: inside.width, height: inside.height }, picture: { width, height } }
}

/** How frames of a size go through a model's graph. Throws InputError `model-refuses-size`. */
export function frameThrough(manifest: ModelManifest, frame: Size): Framing {
  const { scale } = manifest.output
  const padded = paddedSize(manifest, frame)
  for (const side of [padded.width, padded.height]) {
    if (Math.abs(side * scale - Math.round(side * scale)) > 1e-6) {
      throw refusal(
        `${side} pixels times the model's scale ${scale} is not a whole number; give size.multipleOf in model.json`,
      )
    }
  }
  const scaled = (pixels: number) => Math.max(1, Math.round(pixels * scale))
  const tiles = tilesOf(manifest, padded)
  if (tiles && !Number.isInteger(scale)) {
    throw refusal(`a model that is fed tiles must scale by a whole number, not ${scale}`)
  }
  return { padded, tiles, output: { width: scaled(frame.width), height: scaled(frame.height) } }
}

/** A model that rounds its sides up by itself would change the picture's size unnoticed. */
export function expectOutput(manifest: ModelManifest, taken: Size, given: Size): void {
  const promised = frameThrough(manifest, taken).output
  if (given.width === promised.width && given.height === promised.height) return
  const text = ({ width, height }: Size) => `${width}x${height}`
  throw new InputError(
    'model-refuses',
    `The model ${manifest.name} gives ${text(given)} for frames of ${text(taken)}, not ${text(promised)}; its manifest needs size.multipleOf or output.scale.`,
  )
}

function paddedSize({ size }: ModelManifest, { width, height }: Size): Size {
  if (!('width' in size)) {
    const upTo = (pixels: number) => Math.ceil(pixels / size.multipleOf) * size.multipleOf
    return { width: upTo(width), height: upTo(height) }
  }
  const fits = {
    stretch: width === size.width && height === size.height,
    letterbox: width <= size.width && height <= size.height,
    tile: true,
  }
  if (!fits[size.fit]) {
    throw refusal(`the model takes ${size.width}x${size.height} only, the frame is ${width}x${height}`)
  }
  return { width: Math.max(width, size.width), height: Math.max(height, size.height) }
}

function tilesOf({ size }: ModelManifest, frame: Size): Tiles | undefined {
  if (!('width' in size) || size.fit !== 'tile') return undefined
  return {
    columns: starts(frame.width, size.width),
    rows: starts(frame.height, size.height),
    width: size.width,
    height: size.height,
  }
}

/** Pixels that neighbouring tiles share at least: there one fades into the other. */
export const overlapOf = (tile: number): number => Math.floor(tile / 8)

/** Where tiles begin that cover a side evenly and overlap enough. */
function starts(side: number, tile: number): number[] {
  const overlap = overlapOf(tile)
  const count = side <= tile ? 1 : Math.ceil((side - overlap) / (tile - overlap))
  return Array.from({ length: count }, (_, i) =>
    count === 1 ? 0 : Math.round((i * (side - tile)) / (count - 1)),
  )
}

function sizeInside(source: Size, model: Size): Size {
  const shrink = Math.min(model.width / source.width, model.height / source.height)
  const side = (pixels: number, limit: number) => Math.min(limit, Math.max(1, Math.round(pixels * shrink)))
  return { width: side(source.width, model.width), height: side(source.height, model.height) }
}

const refusal = (text: string) =>
  new InputError('model-refuses-size', `${text[0]?.toUpperCase()}${text.slice(1)}.`)
