import protobuf from 'protobufjs'
import { expect, test } from 'vitest'
import { builtinModels } from '../../src/shared/models/builtin.ts'
import type { GraphBuilder } from '../../src/shared/models/graph-builder.ts'
import { draftManifest, finishManifest } from '../../src/shared/models/draft.ts'
import { inspectModel } from '../../src/shared/models/inspect.ts'
import {
  imageInput,
  type ModelManifest,
  parseManifest,
  type ValueRange,
} from '../../src/shared/models/manifest.ts'
import { decodeModel, encodeModel } from '../../src/shared/models/onnx-schema.ts'
import {
  buildModel,
  mix,
  mixNhwc,
  noise,
  run,
  writeMix,
  writePixelate,
  writeUpscale,
} from '../support/onnx-models.ts'
import { frameThrough } from '../../src/shared/models/fit.ts'
import { type FrameShape, wrapModel } from '../../src/shared/models/wrap.ts'

const opsets = [7, 9, 10, 11, 13, 17, 19, 21, 23] as const
const meanStd: ValueRange = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] }

test.each(opsets)('each range, layout and channel order is the plain path, opset %i', async (opset) => {
  for (const range of ['0..1', '0..255', '-1..1', meanStd] satisfies ValueRange[]) {
    for (const layout of ['NCHW', 'NHWC'] as const) {
      for (const channels of ['RGB', 'BGR'] as const) {
        const spec = { layout, channels, range, type: 'float32' }
        const manifest = parseManifest({ name: 'mixer', input: spec, output: spec }, 'test')
        const bytes = layout === 'NCHW' ? buildModel({ opset, write: writeMix }) : buildModel(mixNhwc(opset))
        await expectPlain(bytes, manifest, { width: 7, height: 5, batch: 2 }, (image) => mixed(image))
      }
    }
  }
})

test.each(opsets)('a model that wants a multiple of 4 takes odd sizes, opset %i', async (opset) => {
  const manifest = floatManifest({ size: { multipleOf: 4 } })
  const bytes = buildModel({ opset, write: writePixelate })
  for (const [width, height] of [
    [13, 9],
    [16, 8],
    [1, 1],
    [2, 23],
    [3, 4],
  ] as const) {
    await expectPlain(bytes, manifest, { width, height, batch: 1 }, pixelated)
  }
})

test.each(opsets)('a model that doubles the size, opset %i', async (opset) => {
  const bytes = buildModel({ opset, write: (graph) => writeUpscale(graph, 'image') })
  const frame = { width: 13, height: 9, batch: 2 }
  await expectPlain(bytes, floatManifest({ scale: 2 }), frame, doubled)
  await expectPlain(bytes, floatManifest({ scale: 2, size: { multipleOf: 4 } }), frame, doubled)
})

test.each(opsets)('bytes go through a uint8 model exactly, padded and cropped, opset %i', async (opset) => {
  const write = (graph: GraphBuilder) => graph.add('Transpose', ['image'], { perm: [0, 1, 2, 3] }, 'scored')
  for (const layout of ['NCHW', 'NHWC'] as const) {
    for (const channels of ['RGB', 'BGR'] as const) {
      const spec = { layout, channels, type: 'uint8' }
      const manifest = parseManifest(
        { name: 'same', input: spec, output: spec, size: { multipleOf: 8 } },
        'test',
      )
      const frame = { width: 13, height: 9, batch: 2 }
      const pixels = noise(frame)
      const bytes = buildModel({ opset, write, type: 'uint8', layout })
      expect((await run(wrapModel(bytes, manifest, frame), pixels, frame)).data).toEqual(pixels)
    }
  }
})

test('an old file that lists its initializers among the inputs has one input', async () => {
  const bytes = buildModel({ opset: 9, irVersion: 3, write: writeMix, weights: 'initializer' })
  expect(inspectModel(bytes)).toMatchObject({ irVersion: 3, inputs: [{ name: 'image' }] })
  await expectPlain(bytes, floatManifest({}), { width: 7, height: 5, batch: 1 }, mixed)
})

test('a float model whose output is bytes, and one of several outputs', async () => {
  const bytes = buildModel({
    opset: 17,
    write: (graph) => {
      const bright = writeMix(graph, 'bright')
      graph.add(
        'Cast',
        [graph.add('Clip', [bright, graph.floats([0]), graph.floats([255])])],
        { to: 2 },
        'scored',
      )
    },
    outputType: 'uint8',
    moreOutputs: ['bright'],
  })
  const manifest = parseManifest(
    {
      name: 'mixer',
      input: { layout: 'NCHW', type: 'float32' },
      output: { name: 'scored', layout: 'NCHW', type: 'uint8' },
    },
    'test',
  )
  await expectPlain(bytes, manifest, { width: 7, height: 5, batch: 1 }, mixed)
})

test.each([
  [1, 1],
  [2, 1],
  [161, 121],
  [640, 360],
])('passthrough gives back %ix%i exactly', async (width, height) => {
  const frame = { width, height, batch: 2 }
  const { bytes, manifest } = builtin('passthrough')
  const pixels = noise(frame)
  const wrapped = wrapModel(bytes, manifest, frame)
  expect((await run(wrapped, pixels, frame)).data).toEqual(pixels)
  expect(inspectModel(wrapped).inputs).toEqual([
    { name: 'image', type: 'uint8', dims: [2, height, width, 3] },
  ])
})

test.each([
  [1, 1],
  [3, 2],
  [161, 121],
])('relief takes %ix%i, the same for a frame wherever it is in a batch', async (width, height) => {
  const { bytes, manifest } = builtin('relief')
  const one = { width, height, batch: 1 }
  const pixels = noise(one)
  const alone = await run(wrapModel(bytes, manifest, one), pixels, one)
  const two = { ...one, batch: 2 }
  const pair = new Uint8Array(pixels.length * 2)
  pair.set(noise(one, 99))
  pair.set(pixels, pixels.length)
  const together = await run(wrapModel(bytes, manifest, two), pair, two)
  expect(alone.data).toEqual(together.data.subarray(pixels.length))
})

test('relief keeps a flat grey flat', async () => {
  const { bytes, manifest } = builtin('relief')
  const frame = { width: 24, height: 16, batch: 1 }
  const { data } = await run(wrapModel(bytes, manifest, frame), new Uint8Array(24 * 16 * 3).fill(128), frame)
  for (let channel = 0; channel < 3; channel++) {
    expect(new Set(data.filter((_, index) => index % 3 === channel)).size).toBe(1)
  }
})

test('the same arguments give the same bytes', () => {
  const frame = { width: 13, height: 9, batch: 2 }
  for (const { bytes, manifest } of builtinModels()) {
    expect(wrapModel(bytes, manifest, frame)).toEqual(wrapModel(bytes, manifest, frame))
  }
  expect(builtinModels()).toEqual(builtinModels())
})

test('wrapping keeps every node as it is, and the fields the schema has no name for', () => {
  const bytes = buildModel({ opset: 17, write: writePixelate })
  const producer = protobuf.Writer.create().uint32(18).string('elsewhere').finish()
  const model = decodeModel(new Uint8Array([...bytes, ...producer]))
  expect(encodeModel(model)).toHaveLength(bytes.length + producer.length)
  const wrapped = wrapModel(encodeModel(model), floatManifest({}), { width: 8, height: 8, batch: 1 })
  const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
  const nodes = decodeModel(wrapped).graph?.node.map(hex)
  expect(nodes).toEqual(expect.arrayContaining(model.graph?.node.map(hex) ?? []))
  expect(new TextDecoder().decode(wrapped)).toContain('elsewhere')
})

test.each([
  [
    'another size than the only one',
    { size: { width: 8, height: 8 } },
    9,
    1,
    /takes 8x8 only, the frame is 9x8/,
  ],
  [
    'a scale that does not divide',
    { scale: 0.5 },
    9,
    1,
    /9 pixels times the model's scale 0.5 is not a whole/,
  ],
])('a frame is refused: %s', (_, overrides, width, batch, sentence) => {
  const bytes = buildModel({ opset: 17, write: writeMix })
  const wrap = () => wrapModel(bytes, floatManifest(overrides), { width, height: 8, batch })
  expect(wrap).toThrow(
    expect.objectContaining({ code: 'model-refuses-size', message: expect.stringMatching(sentence) }),
  )
})

test('a model that is not of the size its manifest says fails instead of being cropped', async () => {
  const bytes = buildModel({ opset: 17, write: (graph) => writeUpscale(graph, 'image') })
  const frame = { width: 13, height: 9, batch: 1 }
  const wrapped = wrapModel(bytes, floatManifest({ size: { multipleOf: 4 } }), frame)
  await expect(run(wrapped, noise(frame), frame)).rejects.toThrow(/framefleet\/Reshape/)
})

test('a model of one frame at a time refuses two', () => {
  const bytes = buildModel({ opset: 17, write: writeMix, dims: [1, 3, 'h', 'w'] })
  const wrap = (batch: number) => wrapModel(bytes, floatManifest({}), { width: 8, height: 8, batch })
  expect(() => wrap(2)).toThrow(
    expect.objectContaining({
      code: 'model-refuses-size',
      message: 'The model takes one frame at a time, not 2.',
    }),
  )
  expect(wrap(1)).toBeInstanceOf(Uint8Array)
})

test('a uint8 model needs no manifest', async () => {
  const write = (graph: GraphBuilder) => graph.add('Identity', ['image'], {}, 'scored')
  const bytes = buildModel({ opset: 17, type: 'uint8', write, dims: [1, 3, 8, 16] })
  const facts = inspectModel(bytes)
  const { draft, questions } = draftManifest({ name: 'same' }, facts)
  const manifest = finishManifest(draft, questions, facts, 'test')
  expect(manifest).toMatchObject({ input: { layout: 'NCHW' }, size: { width: 16, height: 8 } })
  const frame = { width: 16, height: 8, batch: 1 }
  expect((await run(wrapModel(bytes, manifest, frame), noise(frame), frame)).data).toEqual(noise(frame))
})

// The plain path, in JavaScript: planes of floats [n, c, h, w] in the model's own range and channel order.

interface Planes {
  n: number
  h: number
  w: number
  at: (n: number, c: number, y: number, x: number) => number
}

async function expectPlain(
  bytes: Uint8Array,
  manifest: ModelManifest,
  frame: FrameShape,
  model: (image: Planes) => Planes,
): Promise<void> {
  const pixels = noise(frame)
  const { data, dims } = await run(wrapModel(bytes, manifest, frame), pixels, frame)
  const { width, height } = frameThrough(manifest, frame).output
  expect(dims).toEqual([frame.batch, height, width, 3])
  const scored = model(padded(fromPixels(pixels, frame, manifest), frame, manifest))
  const { toByte } = values(manifest.output.range)
  let worst = 0
  data.forEach((got, index) => {
    const [n, y, x, c] = unravel(index, width, height)
    const channel = manifest.output.channels === 'BGR' ? 2 - c : c
    const want = Math.min(255, Math.max(0, Math.floor(toByte(scored.at(n, channel, y, x), channel) + 0.5)))
    worst = Math.max(worst, Math.abs(got - want))
  })
  expect(worst).toBeLessThanOrEqual(1)
}

function fromPixels(
  pixels: Uint8Array,
  { width, height, batch }: FrameShape,
  manifest: ModelManifest,
): Planes {
  const input = imageInput(manifest)
  const { fromByte } = values(input.range)
  return {
    n: batch,
    h: height,
    w: width,
    at: (n, c, y, x) => {
      const channel = input.channels === 'BGR' ? 2 - c : c
      return fromByte(pixels[((n * height + y) * width + x) * 3 + channel] ?? Number.NaN, c)
    },
  }
}

function padded(image: Planes, { width, height }: FrameShape, { size }: ModelManifest): Planes {
  const multiple = 'multipleOf' in size ? size.multipleOf : 1
  const [w, h] = [Math.ceil(width / multiple) * multiple, Math.ceil(height / multiple) * multiple]
  const reflect = w - width < width && h - height < height
  const inside = (at: number, length: number) =>
    at < length ? at : reflect ? 2 * (length - 1) - at : length - 1
  return { n: image.n, h, w, at: (n, c, y, x) => image.at(n, c, inside(y, height), inside(x, width)) }
}

type PerChannel = (value: number, channel: number) => number

function values(range: ValueRange): { fromByte: PerChannel; toByte: PerChannel } {
  if (typeof range === 'object') {
    const { mean, std } = range
    return {
      fromByte: (byte, c) => (byte / 255 - mean[c]!) / std[c]!,
      toByte: (value, c) => (value * std[c]! + mean[c]!) * 255,
    }
  }
  const [low, high] = { '0..1': [0, 1], '0..255': [0, 255], '-1..1': [-1, 1] }[range] as [number, number]
  return {
    fromByte: (byte) => low + (byte / 255) * (high - low),
    toByte: (value) => ((value - low) / (high - low)) * 255,
  }
}

const mixed = (image: Planes): Planes => ({
  ...image,
  at: (n, c, y, x) => [0, 1, 2].reduce((sum, from) => sum + mix[c * 3 + from]! * image.at(n, from, y, x), 0),
})
const doubled = (image: Planes): Planes => ({ ...image, at: (n, c, y, x) => image.at(n, c, y >> 1, x >> 1) })
const pixelated = (image: Planes): Planes => ({
  ...image,
  at: (n, c, y, x) => {
    let sum = 0
    for (let i = 0; i < 16; i++) sum += image.at(n, c, (y & ~3) + (i >> 2), (x & ~3) + (i & 3))
    return sum / 16
  },
})

function floatManifest({ scale = 1, size = {} }: { scale?: number; size?: object }): ModelManifest {
  const spec = { layout: 'NCHW', type: 'float32' }
  return parseManifest({ name: 'test', input: spec, output: { ...spec, scale }, size }, 'test')
}

function builtin(name: string) {
  const found = builtinModels().find(({ manifest }) => manifest.name === name)
  if (!found) throw new Error(`there is no built-in model ${name}`)
  return found
}

const unravel = (index: number, width: number, height: number) => {
  const pixel = Math.floor(index / 3)
  const row = Math.floor(pixel / width)
  return [Math.floor(row / height), row % height, pixel % width, index % 3] as const
}
