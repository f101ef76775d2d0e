import { expect, test } from 'vitest'
import { draftManifest, finishManifest } from '../../src/shared/models/draft.ts'
import type { GraphBuilder } from '../../src/shared/models/graph-builder.ts'
import { inspectModel } from '../../src/shared/models/inspect.ts'
import { parseManifest } from '../../src/shared/models/manifest.ts'
import { wrapModel } from '../../src/shared/models/wrap.ts'
import { buildModel, noise, run, threefold } from '../support/onnx-models.ts'

const opsets = [7, 9, 10, 11, 13, 17, 23] as const
const [red, green, blue] = [0.299, 0.587, 0.114]
const clip = (value: number) => Math.min(255, Math.max(0, value))

/** Half as bright, and each pixel `by` times in both directions. */
function writeDarker(graph: GraphBuilder, by: number): string {
  const half = graph.floats(Array<number>(by * by).fill(0.5), [1, 1, by, by])
  return graph.add('ConvTranspose', ['image', half], { strides: [by, by] }, 'scored')
}

const darker = (opset: number, by: number, side: number | string = 'h') =>
  buildModel({
    opset,
    write: (graph) => writeDarker(graph, by),
    dims: ['n', 1, side, side],
    outputDims: [
      'n',
      1,
      typeof side === 'number' ? side * by : 'oh',
      typeof side === 'number' ? side * by : 'ow',
    ],
  })

/** The same, step by step: to YCbCr, half of Y, Cb and Cr brought to the size between the middles of pixels, and back. */
function expected(
  pixels: Uint8Array,
  { width, height }: { width: number; height: number },
  by: number,
): number[] {
  const at = (x: number, y: number, channel: number) => {
    const [column, row] = [Math.min(width - 1, Math.max(0, x)), Math.min(height - 1, Math.max(0, y))]
    return pixels[(row * width + column) * 3 + channel] ?? 0
  }
  const yOf = (x: number, y: number) => red * at(x, y, 0) + green * at(x, y, 1) + blue * at(x, y, 2)
  const cb = (x: number, y: number) => (at(x, y, 2) - yOf(x, y)) / 1.772
  const cr = (x: number, y: number) => (at(x, y, 0) - yOf(x, y)) / 1.402
  const between = (of: (x: number, y: number) => number, x: number, y: number) => {
    const [fromX, fromY] = [(x + 0.5) / by - 0.5, (y + 0.5) / by - 0.5]
    const [left, top] = [Math.floor(fromX), Math.floor(fromY)]
    const [right, down] = [fromX - left, fromY - top]
    return (
      (of(left, top) * (1 - right) + of(left + 1, top) * right) * (1 - down) +
      (of(left, top + 1) * (1 - right) + of(left + 1, top + 1) * right) * down
    )
  }
  return Array.from({ length: height * by * width * by }, (_, i) => {
    const [x, y] = [i % (width * by), Math.floor(i / (width * by))]
    const bright = yOf(Math.floor(x / by), Math.floor(y / by)) / 2
    const [b, r] = [between(cb, x, y), between(cr, x, y)]
    const g = bright - (red * 1.402 * r + blue * 1.772 * b) / green
    return [bright + 1.402 * r, g, bright + 1.772 * b].map(clip)
  }).flat()
}

const luma = (range: string, scale = 1, size: object = {}) => {
  const spec = { layout: 'NCHW', type: 'float32', range, channels: 'Y' }
  return parseManifest({ name: 'darker', input: spec, output: { ...spec, scale }, size }, 'test')
}

test.each(opsets)('brightness goes through the model, and the colours beside it, opset %i', async (opset) => {
  for (const by of [1, 2, 3, 4])
    for (const size of [{}, { multipleOf: 4 }]) {
      const frame = { width: 13, height: 6, batch: 1 }
      const pixels = noise(frame)
      const { data, dims } = await run(
        wrapModel(darker(opset, by), luma('0..1', by, size), frame),
        pixels,
        frame,
      )
      expect(dims).toEqual([1, 6 * by, 13 * by, 3])
      const apart = expected(pixels, frame, by).map((value, i) => Math.abs(value - (data[i] ?? 0)))
      expect(Math.max(...apart)).toBeLessThan(0.51)
    }
})

test('pictures that are larger than the model come back from their tiles in their own colours', async () => {
  const frame = { width: 40, height: 25, batch: 1 }
  // One colour with a step in it: no tile can tell where it was cut.
  const pixels = Uint8Array.from({ length: 40 * 25 * 3 }, (_, i) => [200, 40, 90][i % 3] ?? 0)
  const manifest = luma('-1..1', 3, { width: 16, height: 16, fit: 'tile' })
  const same = threefold({ opset: 11, side: 16 })
  const { data, dims } = await run(wrapModel(same, manifest, frame), pixels, frame)
  expect(dims).toEqual([1, 75, 120, 3])
  expect([...new Set([0, 1, 2].flatMap((channel) => [...data].filter((_, i) => i % 3 === channel)))]).toEqual(
    [200, 40, 90],
  )
})

test('one channel is seen in the graph; tiles are assumed where something is to become larger', () => {
  const facts = inspectModel(darker(10, 3, 224))
  const { draft, questions } = draftManifest({ input: { range: '0..1' }, output: { range: '0..1' } }, facts)
  expect(questions.map(({ field }) => field)).toEqual(['size.fit'])
  expect(finishManifest({ name: 'larger', ...draft }, questions, facts, 'test')).toMatchObject({
    input: { layout: 'NCHW', channels: 'Y' },
    output: { layout: 'NCHW', channels: 'Y', scale: 3 },
    size: { width: 224, height: 224, fit: 'tile' },
  })
})

test.each([
  [{ input: { channels: 'Y' } }, /output.channels: must be Y/],
  [{ output: { channels: 'Y' } }, /output.channels: must be Y/],
  [
    {
      input: { channels: 'Y', type: 'float32', range: { mean: [0.1, 0.2, 0.3], std: [1, 1, 1] } },
      output: { channels: 'Y' },
    },
    /input.range: must have one mean/,
  ],
])('a manifest that says something else of one channel is refused (%#)', (manifest, why) => {
  expect(() => parseManifest({ name: 'grey', ...manifest }, 'test')).toThrow(why)
})

test('brightness that becomes larger by a part of a pixel is refused', () => {
  expect(() =>
    wrapModel(darker(13, 3), luma('0..1', 1.5, { multipleOf: 2 }), { width: 8, height: 8, batch: 1 }),
  ).toThrow(/by a whole number, not 1.5/)
})
