import { availableParallelism } from 'node:os'
import { Tensor } from 'onnxruntime-node'
import { InputError } from '../errors.ts'
import { expectOutput, fitFrames, frameThrough, type Size } from './fit.ts'
import { type ModelManifest, takesFeatures } from './manifest.ts'
import { openSession } from './session.ts'
import { tryRows } from './try-rows.ts'
import { type StyleImage, wrapModel } from './wrap.ts'

/** What a person who adds a model should look at again. */
export type Trial = { manifest: ModelManifest; warnings: string[] }

// One more than a multiple of 64: padded to a multiple of 2, 4, 8 ... a side is a multiple of nothing more.
const oddFrame = { width: 193, height: 129 }
const multiples = [1, 2, 4, 8, 16, 32, 64]

/**
 * Runs a model on a made-up picture of an odd size. Where the manifest leaves it open (`free`) finds out what its sides must be
 * multiples of, and by how much it scales. Throws InputError `model-refuses` with the runtime's words.
 */
export async function tryModel(
  bytes: Uint8Array,
  manifest: ModelManifest,
  free: { multipleOf: boolean; scale: boolean },
  style?: StyleImage,
): Promise<Trial> {
  if (takesFeatures(manifest)) return await tryRows(bytes, manifest)
  if (manifest.scores) return await tryScores(bytes, manifest, style)
  const anySize = 'multipleOf' in manifest.size
  let refusal: unknown
  for (const multipleOf of free.multipleOf && anySize ? multiples : [undefined]) {
    const sized = multipleOf === undefined ? manifest : { ...manifest, size: { multipleOf } }
    try {
      const scale = free.scale ? await scaleOf(bytes, sized, style) : sized.output.scale
      const tried = { ...sized, output: { ...sized.output, scale } }
      const { frame } = fitFrames(tried, oddFrame)
      const { pixels, ...size } = await runOnce(bytes, tried, style, frame)
      expectOutput(tried, frame, size)
      return { manifest: tried, warnings: lookAt(pixels) }
    } catch (error) {
      refusal ??= error
    }
  }
  throw refusal
}

/** Runs a model that makes no image. */
async function tryScores(bytes: Uint8Array, manifest: ModelManifest, style?: StyleImage): Promise<Trial> {
  const { frame } = fitFrames(manifest, oddFrame)
  const wrapped = wrapModel(bytes, manifest, { ...frame, batch: 1 }, style)
  const made = await runWrapped(wrapped, manifest.name, frame, madeUp(frame))
  const wild = Object.entries(made).find(([, { data }]) => (data as Float32Array).some(Number.isNaN))
  return {
    manifest,
    warnings: wild ? [`the output ${wild[0]} holds what is no number; look at the ranges again`] : [],
  }
}

/** Peak signal-to-noise ratio in dB between what two versions of a model make of the same picture. */
export async function likeness(
  [one, other]: [Uint8Array, Uint8Array],
  manifest: ModelManifest,
  style?: StyleImage,
): Promise<number> {
  const { frame } = fitFrames(manifest, oddFrame)
  const first = await runOnce(one, manifest, style, frame)
  const second = await runOnce(other, manifest, style, frame)
  const squares = first.pixels.reduce((sum, value, i) => sum + (value - (second.pixels[i] ?? 0)) ** 2, 0)
  return 10 * Math.log10((255 ** 2 * first.pixels.length) / Math.max(squares, 1e-9))
}

/** How many times larger than its input the output of a model is. */
async function scaleOf(bytes: Uint8Array, manifest: ModelManifest, style?: StyleImage): Promise<number> {
  const { size } = manifest
  const frame = 'width' in size ? size : frameThrough(manifest, oddFrame).padded
  // Whole frames in, whole pictures out: nothing is cropped, whose check would expect a size.
  const whole = 'width' in size ? { ...size, fit: 'stretch' as const } : { multipleOf: 1 }
  const { width } = await runOnce(bytes, { ...manifest, size: whole }, style, frame)
  return width / frame.width
}

async function runOnce(
  bytes: Uint8Array,
  manifest: ModelManifest,
  style: StyleImage | undefined,
  frame: Size,
): Promise<Size & { pixels: Uint8Array }> {
  return await scoreOnce(bytes, manifest, { style, frame, pixels: madeUp(frame) })
}

/** What a model makes of one picture (RGB, of the size of `frame`). Throws InputError `model-refuses` with the runtime's words. */
export async function scoreOnce(
  bytes: Uint8Array,
  manifest: ModelManifest,
  { style, frame, pixels }: { style?: StyleImage; frame: Size; pixels: Uint8Array },
): Promise<Size & { pixels: Uint8Array }> {
  const { width, height } = frame
  const wrapped = wrapModel(bytes, manifest, { width, height, batch: 1 }, style)
  const result = await runWrapped(wrapped, manifest.name, frame, pixels)
  const [scored] = Object.values(result)
  const [, outHeight = 0, outWidth = 0] = scored?.dims ?? []
  return { width: outWidth, height: outHeight, pixels: scored?.data as Uint8Array }
}

/** The outputs of a wrapped model. Throws InputError `model-refuses` with the runtime's words. */
async function runWrapped(wrapped: Uint8Array, name: string, { width, height }: Size, pixels: Uint8Array) {
  try {
    const { session } = await openSession(wrapped, {
      device: 'cpu',
      deviceId: 0,
      threads: availableParallelism(),
    })
    const picture = new Tensor('uint8', pixels, [1, height, width, 3])
    const result = await session.run({ [session.inputNames[0] ?? '']: picture })
    await session.release()
    return result
  } catch (cause) {
    const why = (cause as Error).message.split('\n')[0]
    throw new InputError(
      'model-refuses',
      `The model ${name} can't be run on frames of ${width}x${height}: ${why}`,
      { cause },
    )
  }
}

/** Colours in all their mixtures, with an edge here and there. */
function madeUp({ width, height }: Size): Uint8Array {
  return Uint8Array.from({ length: width * height * 3 }, (_, i) => {
    const [x, y, channel] = [Math.floor(i / 3) % width, Math.floor(i / 3 / width), i % 3]
    const ramp = [x / width, y / height, 1 - (x + y) / (width + height)][channel] ?? 0
    return Math.round(200 * ramp + (((x >> 4) + (y >> 4)) % 2) * 55)
  })
}

/** What a wrong range looks like. */
function lookAt(pixels: Uint8Array): string[] {
  const counts = new Uint32Array(256)
  for (const value of pixels) counts[value] = (counts[value] ?? 0) + 1
  const share = (value: number) => (counts[value] ?? 0) / pixels.length
  if (Math.max(...counts) > pixels.length * 0.98) {
    return ['the output is the same nearly everywhere; look at the ranges in the manifest again']
  }
  if (share(0) + share(255) > 0.6) {
    return ['most of the output is as dark or as bright as can be; look at the ranges in the manifest again']
  }
  return []
}
