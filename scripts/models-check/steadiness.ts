import { crop, type Picture, type Size } from './pictures.ts'

/**
 * How much a network's output changes when its input hardly does; mean absolute changes of values in 0..1.
 *
 *   noise     for Gaussian noise of sigma 2/255 on the input
 *   pan       for a picture moved by one pixel, right and then down, after moving the output back
 *   gradient  the mean difference of neighbouring output pixels: a grey blur would be steady too
 */
export type Steadiness = { noise: number; pan: number; gradient: number }

export const frame: Size = { width: 640, height: 360 }
/** Larger than a frame, so that there is room to pan. */
export const withRoom: Size = { width: frame.width + 4, height: frame.height + 4 }
export const noiseSigma = 2 / 255

/** Measures a network on pictures of the size `withRoom`; there is no state between frames. Repeatable: the noise is seeded. */
export async function measureSteadiness(
  run: (picture: Picture) => Promise<Picture>,
  pictures: Picture[],
): Promise<Steadiness> {
  const found: Steadiness[] = []
  for (const [number, wide] of pictures.entries()) found.push(await measureOne(run, wide, number))
  const mean = (key: keyof Steadiness) => found.reduce((sum, each) => sum + each[key], 0) / found.length
  return { noise: mean('noise'), pan: mean('pan'), gradient: mean('gradient') }
}

async function measureOne(
  run: (picture: Picture) => Promise<Picture>,
  wide: Picture,
  seed: number,
): Promise<Steadiness> {
  const at = (left: number, top: number) => crop(wide, left, top, frame)
  const still = await run(at(0, 0))
  const noisy = await run(addNoise(at(0, 0), noiseSigma, seed))
  const { width, height } = still
  if (width !== frame.width || height !== frame.height) {
    throw new Error(`it gives pictures of ${width}x${height} for ${frame.width}x${frame.height}`)
  }
  const right = { width: width - 1, height }
  const down = { width, height: height - 1 }
  const movedRight = meanChange(crop(await run(at(1, 0)), 0, 0, right), crop(still, 1, 0, right))
  const movedDown = meanChange(crop(await run(at(0, 1)), 0, 0, down), crop(still, 0, 1, down))
  return {
    noise: meanChange(noisy, still),
    pan: (movedRight + movedDown) / 2,
    gradient: gradient(still),
  }
}

/** The mean absolute difference of two pictures of one size. */
function meanChange(a: Picture, b: Picture): number {
  let sum = 0
  for (const [i, value] of a.planes.entries()) sum += Math.abs(value - (b.planes[i] ?? 0))
  return sum / a.planes.length
}

/** The mean absolute difference of neighbouring pixels, side by side and one above the other. */
export function gradient(picture: Picture): number {
  const { width, height } = picture
  const right = { width: width - 1, height }
  const down = { width, height: height - 1 }
  const beside = meanChange(crop(picture, 0, 0, right), crop(picture, 1, 0, right))
  const above = meanChange(crop(picture, 0, 0, down), crop(picture, 0, 1, down))
  return (beside + above) / 2
}

/** The picture with Gaussian noise on it, the same for the same seed; values may leave 0..1. */
function addNoise(picture: Picture, sigma: number, seed: number): Picture {
  const next = gaussian(seed)
  return { ...picture, planes: picture.planes.map((value) => value + sigma * next()) }
}

/** Numbers of mean 0 and variance 1 (Box and Muller) from a small seeded generator (mulberry32). */
function gaussian(seed: number): () => number {
  let state = seed
  const uniform = () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  // 1 - uniform() is never 0, whose logarithm is infinite.
  return () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform())
}
