import { expect, test } from 'vitest'
import { type Size, fitFrames, frameThrough, overlapOf } from '../../src/shared/models/fit.ts'
import { type ModelManifest, parseManifest } from '../../src/shared/models/manifest.ts'
import { wrapModel } from '../../src/shared/models/wrap.ts'
import { buildModel, mix, noise, run, writeMix, writeUpscale } from '../support/onnx-models.ts'

const opsets = [7, 9, 10, 11, 13, 17, 23] as const
const size = (width: number, height: number): Size => ({ width, height })

test.each([
  ['any size', { multipleOf: 4 }, 1, size(641, 361), size(641, 361), size(641, 361)],
  ['an upscaler', { multipleOf: 4 }, 2, size(641, 361), size(641, 361), size(1282, 722)],
  ['stretch', fixed('stretch'), 1, size(640, 360), size(256, 256), size(640, 360)],
  ['a wide letterbox', fixed('letterbox'), 1, size(640, 360), size(256, 144), size(640, 360)],
  ['a tall letterbox', fixed('letterbox'), 1, size(360, 640), size(144, 256), size(360, 640)],
  ['a small frame in a letterbox', fixed('letterbox'), 1, size(64, 32), size(256, 128), size(64, 32)],
  ['a thread in a letterbox', fixed('letterbox'), 1, size(4000, 1), size(256, 1), size(4000, 1)],
  ['tiles', fixed('tile'), 1, size(641, 361), size(641, 361), size(641, 361)],
  ['tiles that triple', fixed('tile'), 3, size(100, 50), size(100, 50), size(300, 150)],
])('%s: how frames come to the model and what they become', (_, of, scale, source, frame, picture) => {
  expect(fitFrames(manifest({ size: of, scale }), source)).toEqual({ frame, picture })
})

test('tiles cover a frame to its edges, and neighbours share an eighth of a tile', () => {
  for (const tile of [1, 2, 7, 16, 256, 720]) {
    for (const side of [1, 2, 15, 16, 17, 31, 255, 256, 257, 481, 640, 1_080, 1_920]) {
      const { padded, tiles } = frameThrough(
        manifest({ size: { width: tile, height: tile, fit: 'tile' } }),
        size(side, side),
      )
      const starts = tiles?.columns ?? []
      expect(padded.width).toBe(Math.max(side, tile))
      expect(starts[0]).toBe(0)
      expect((starts.at(-1) ?? 0) + tile).toBe(padded.width)
      for (const [i, start] of starts.slice(1).entries()) {
        const shared = (starts[i] ?? 0) + tile - start
        expect(shared).toBeGreaterThanOrEqual(Math.max(0, overlapOf(tile) - 1))
        expect(start).toBeGreaterThan(starts[i] ?? 0)
      }
    }
  }
})

test.each(opsets)('a model of one size sees every pixel of a tiled frame once, opset %i', async (opset) => {
  const bytes = buildModel({ opset, dims: [1, 3, 16, 16], write: writeMix })
  const of = manifest({ size: { width: 16, height: 16, fit: 'tile' } })
  for (const frame of [size(16, 16), size(37, 29), size(9, 40), size(3, 3), size(65, 16)]) {
    const shape = { ...frame, batch: 1 }
    const pixels = noise(shape)
    const { data, dims } = await run(wrapModel(bytes, of, shape), pixels, shape)
    expect(dims).toEqual([1, frame.height, frame.width, 3])
    expect(worst(data, mixed(pixels))).toBeLessThanOrEqual(1)
  }
})

test('tiles of a model that doubles the size, in blue, green, red order', async () => {
  const bytes = buildModel({
    opset: 17,
    dims: [1, 3, 16, 16],
    outputDims: [1, 3, 32, 32],
    write: (graph) => writeUpscale(graph, 'image'),
  })
  const spec = { layout: 'NCHW', type: 'float32', channels: 'BGR', range: '-1..1' }
  const of = parseManifest(
    {
      name: 'double',
      input: spec,
      output: { ...spec, scale: 2 },
      size: { width: 16, height: 16, fit: 'tile' },
    },
    'test',
  )
  const shape = { ...size(37, 29), batch: 1 }
  const pixels = noise(shape)
  const { data, dims } = await run(wrapModel(bytes, of, shape), pixels, shape)
  expect(dims).toEqual([1, 58, 74, 3])
  const want = data.map((_, i) => {
    const [y, x, c] = [Math.floor(i / 222), Math.floor(i / 3) % 74, i % 3]
    return pixels[((y >> 1) * 37 + (x >> 1)) * 3 + c] ?? 0
  })
  expect(worst(data, want)).toBeLessThanOrEqual(1)
})

test('each tile is a picture of its own to the model, and one fades into the next', async () => {
  const bytes = buildModel({
    opset: 17,
    dims: [1, 3, 16, 16],
    write: (graph) => {
      const mean = graph.add('ReduceMean', ['image'], { axes: [1, 2, 3], keepdims: 1 })
      graph.add('Expand', [mean, graph.ints([1, 3, 16, 16])], {}, 'scored')
    },
  })
  const frame = { width: 30, height: 16, batch: 1 }
  // Left of the overlap all is black, right of it all is white, and what is shared is half of both.
  const pixels = Uint8Array.from({ length: 30 * 16 * 3 }, (_, i) => (Math.floor(i / 3) % 30 < 15 ? 0 : 255))
  const { data } = await run(
    wrapModel(bytes, manifest({ size: { width: 16, height: 16, fit: 'tile' } }), frame),
    pixels,
    frame,
  )
  const row = Array.from({ length: 30 }, (_, x) => data[x * 3] ?? 0)
  const [left, right] = [16, 239]
  expect(row.slice(0, 14)).toEqual(Array(14).fill(left))
  expect(row.slice(16)).toEqual(Array(14).fill(right))
  expect(row.slice(14, 16)).toEqual(
    [left + (right - left) / 3, left + ((right - left) * 2) / 3].map(Math.round),
  )
})

test.each(opsets)('a letterboxed frame is whole again afterwards, opset %i', async (opset) => {
  const bytes = buildModel({ opset, dims: [1, 3, 16, 16], write: writeMix })
  const of = manifest({ size: { width: 16, height: 16, fit: 'letterbox' } })
  for (const source of [size(64, 36), size(36, 64), size(500, 1)]) {
    const shape = { ...fitFrames(of, source).frame, batch: 1 }
    const pixels = noise(shape)
    const { data, dims } = await run(wrapModel(bytes, of, shape), pixels, shape)
    expect(dims).toEqual([1, shape.height, shape.width, 3])
    expect(worst(data, mixed(pixels))).toBeLessThanOrEqual(1)
  }
})

test.each([
  ['a frame larger than the letterbox', fixed('letterbox'), 1, size(257, 10), /256x256 only/],
  ['a frame that was not stretched', fixed('stretch'), 1, size(255, 256), /256x256 only/],
  ['tiles and half the size', fixed('tile'), 0.5, size(640, 360), /must scale by a whole number/],
  ['an odd side and half the size', { multipleOf: 1 }, 0.5, size(641, 360), /not a whole number/],
])('refused: %s', (_, of, scale, frame, sentence) => {
  expect(() => frameThrough(manifest({ size: of, scale }), frame)).toThrow(
    expect.objectContaining({ code: 'model-refuses-size', message: expect.stringMatching(sentence) }),
  )
})

test('tiles are scored one frame at a time', () => {
  const bytes = buildModel({ opset: 17, write: writeMix })
  const shape = { width: 40, height: 40, batch: 2 }
  expect(() => wrapModel(bytes, manifest({ size: { width: 16, height: 16, fit: 'tile' } }), shape)).toThrow(
    /one frame at a time/,
  )
})

function fixed(fit: 'stretch' | 'letterbox' | 'tile') {
  return { width: 256, height: 256, fit }
}

function manifest({ size, scale = 1 }: { size: object; scale?: number }): ModelManifest {
  const spec = { layout: 'NCHW', type: 'float32' }
  return parseManifest({ name: 'test', input: spec, output: { ...spec, scale }, size }, 'test')
}

/** What the mixing model makes of interleaved RGB. */
function mixed(pixels: Uint8Array): Uint8Array {
  return pixels.map((_, i) => {
    const [pixel, c] = [i - (i % 3), i % 3]
    const sum = [0, 1, 2].reduce(
      (total, from) => total + (mix[c * 3 + from] ?? 0) * (pixels[pixel + from] ?? 0),
      0,
    )
    return Math.min(255, Math.max(0, Math.round(sum)))
  })
}

function worst(got: Uint8Array, want: Uint8Array): number {
  expect(got).toHaveLength(want.length)
  return got.reduce((most, value, i) => Math.max(most, Math.abs(value - (want[i] ?? 0))), 0)
}
