import { expect, test } from 'vitest'
import { builtinModels } from '../../src/shared/models/builtin.ts'
import { createGraphBuilder, imageValue } from '../../src/shared/models/graph-builder.ts'
import {
  checkManifest,
  inspectModel,
  type ModelFacts,
  type TensorFacts,
} from '../../src/shared/models/inspect.ts'
import { draftManifest, finishManifest } from '../../src/shared/models/draft.ts'
import { imageInput, parseManifest, takesFeatures } from '../../src/shared/models/manifest.ts'
import { elementTypes, encodeModel } from '../../src/shared/models/onnx-schema.ts'

test('a name is all that a uint8 NHWC model needs', () => {
  expect(parseManifest({ name: 'any' }, 'model.json')).toEqual({
    name: 'any',
    version: '1',
    input: { layout: 'NHWC', type: 'uint8', range: '0..255', channels: 'RGB' },
    output: { layout: 'NHWC', type: 'uint8', range: '0..255', channels: 'RGB', scale: 1 },
    size: { multipleOf: 1 },
  })
})

test('a fixed size is stretched to; a manifest that was parsed parses again', () => {
  const parsed = parseManifest({ name: 'any', size: { width: 224, height: 128 } }, 'model.json')
  expect(parsed.size).toEqual({ width: 224, height: 128, fit: 'stretch' })
  expect(parseManifest(JSON.parse(JSON.stringify(parsed)), 'model.json')).toEqual(parsed)
})

const features = { kind: 'features', count: 3 }

test('a model of features says how many there are and what it makes of them', () => {
  const json = { name: 'any', input: features, scores: { task: 'anomaly' } }
  const parsed = parseManifest(json, 'model.json')
  expect(parsed.input).toEqual({ kind: 'features', type: 'float32', count: 3 })
  expect(parseManifest(JSON.parse(JSON.stringify(parsed)), 'model.json')).toEqual(parsed)
  expect(takesFeatures(parsed)).toBe(true)
  expect(takesFeatures(parseManifest({ name: 'any', input: { kind: 'image' } }, 'model.json'))).toBe(false)
  expect(() => imageInput(parsed)).toThrow('The model any takes rows of a table, not images.')
})

const floats = { layout: 'NCHW', type: 'float32' }

test.each([
  ['not an object', 'hello', /^model\.json: the manifest: /],
  ['no name', {}, /^model\.json: name: /],
  ['a name with capitals', { name: 'Any' }, /name: must be lower-case/],
  ['a version with a slash', { name: 'any', version: '1/2' }, /version: must be/],
  ['a wrong digest', { name: 'any', sha256: 'abc' }, /sha256: must be 64/],
  ['an unknown field', { name: 'any', licensed: true }, /licensed/],
  ['an unknown layout', { name: 'any', input: { layout: 'HWC' } }, /input\.layout: /],
  ['an unknown range', { name: 'any', input: { ...floats, range: '0..2' } }, /input\.range: /],
  [
    'a range of bytes',
    { name: 'any', input: { range: '0..1' } },
    /input\.range: must be '0\.\.255' when the type/,
  ],
  [
    'a std of 0',
    { name: 'any', input: { ...floats, range: { mean: [0, 0, 0], std: [1, 0, 1] } } },
    /input\.range/,
  ],
  ['a scale of 0', { name: 'any', output: { scale: 0 } }, /output\.scale: /],
  ['a scale of the input', { name: 'any', input: { scale: 2 } }, /input: .*scale/],
  ['features of which nothing is made', { name: 'any', input: features }, /scores: must tell what a model/],
  [
    'boxes in a row',
    { name: 'any', input: features, scores: { task: 'detection' } },
    /scores: must tell what a model of features makes/,
  ],
  ['no count', { name: 'any', input: { kind: 'features' }, scores: { task: 'anomaly' } }, /input\.count: /],
  [
    'a layout of features',
    { name: 'any', input: { ...features, layout: 'NCHW' }, scores: { task: 'anomaly' } },
    /input: .*layout/,
  ],
  ['an unknown kind', { name: 'any', input: { kind: 'sound' } }, /input/],
  ['half a multiple', { name: 'any', size: { multipleOf: 1.5 } }, /size.*: .*/],
  ['one side only', { name: 'any', size: { width: 8 } }, /size: must be \{ multipleOf \} or/],
])('a manifest is refused: %s', (_, json, sentence) => {
  expect(() => parseManifest(json, 'model.json')).toThrow(
    expect.objectContaining({ code: 'bad-manifest', message: expect.stringMatching(sentence) }),
  )
})

const relief = builtinModels()[1]?.bytes ?? new Uint8Array()

test('a model is read without running it', () => {
  expect(inspectModel(relief)).toEqual({
    irVersion: 8,
    opset: 17,
    inputs: [{ name: 'image', type: 'float32', dims: ['n', 3, 'h', 'w'] }],
    outputs: [{ name: 'scored', type: 'float32', dims: ['n', 3, 'h', 'w'] }],
  })
})

const text = (value: string) => new TextEncoder().encode(value)

test.each([
  ['nothing', new Uint8Array(), 'The model file is empty.'],
  ['a web page', text('<!DOCTYPE html><html><body>404</body></html>'), /not an ONNX model/],
  ['a text', text('hello'), /not an ONNX model/],
  ['a JSON error', text('{"error":"not found"}'), /not an ONNX model/],
  ['zeros', new Uint8Array(100), /not an ONNX model/],
  ['noise', Uint8Array.from({ length: 999 }, (_, i) => (i * 151 + 17) & 255), /not an ONNX model/],
  ['the first half', relief.subarray(0, relief.length >> 1), /only a part of one/],
  ['all but the last byte', relief.subarray(0, -1), /not an ONNX model/],
  ['a model without nodes', encodeModel(emptyModel([])), /holds no graph/],
  [
    'weights in another file',
    encodeModel(emptyModel([externalWeights()])),
    /\(big\.weight is external data\)/,
  ],
])('a file is refused: %s', (_, bytes, sentence) => {
  expect(() => inspectModel(bytes)).toThrow(
    expect.objectContaining({ code: 'bad-model', message: expect.stringMatching(sentence) }),
  )
})

const image = (dims: TensorFacts['dims'], type = 'float32', name = 'x'): TensorFacts => ({ name, type, dims })
const facts = (input: TensorFacts, more: Partial<ModelFacts> = {}): ModelFacts => ({
  irVersion: 8,
  opset: 17,
  inputs: [input],
  outputs: [{ ...input, name: 'y' }],
  ...more,
})
const bytesIn = (dims: TensorFacts['dims']) => image(dims, 'uint8')

test.each([
  ['free size, NHWC', bytesIn(['n', 'h', 'w', 3]), 'NHWC', { multipleOf: 1 }],
  ['free size, NCHW', bytesIn([1, 3, null, null]), 'NCHW', { multipleOf: 1 }],
  ['fixed size', bytesIn([1, 224, 320, 3]), 'NHWC', { width: 320, height: 224, fit: 'stretch' }],
])('a manifest is inferred: %s', (_, input, layout, size) => {
  expect(inferManifest(facts(input), 'any')).toMatchObject({ name: 'any', input: { layout }, size })
})

test('the scale of a fixed size is inferred', () => {
  const outputs = [image([1, 448, 640, 3], 'uint8', 'y')]
  expect(inferManifest(facts(bytesIn([1, 224, 320, 3]), { outputs }), 'any').output.scale).toBe(2)
})

test.each([
  [
    'the range of floats',
    facts(image([1, 3, 'h', 'w'])),
    'manifest-needed',
    /"x" is float32 .* State input.range/,
  ],
  ['a layout of two 3s', facts(bytesIn([1, 3, 8, 3])), 'manifest-needed', /which could be NCHW or NHWC/],
  ['channels that are free', facts(bytesIn(['n', 'c', 'h', 'w'])), 'manifest-needed', /\[n, c, h, w\]/],
  ['a shape left out', facts(bytesIn(null)), 'manifest-needed', /doesn't state the shape/],
  [
    'four channels',
    facts(image(['n', 4, 224, 224])),
    'model-mismatch',
    /\[n, 4, 224, 224\]; a frame has 3 channels, or 1/,
  ],
  [
    'two inputs',
    facts(image(null), { inputs: [image(null), image(null)] }),
    'model-mismatch',
    /has 2 inputs \(x, x\)/,
  ],
  ['no channels at all', facts(image([1, 10, 10])), 'model-mismatch', /\[1, 10, 10\], an image batch/],
])('no manifest can be inferred: %s', (_, model, code, sentence) => {
  expect(() => inferManifest(model, 'any')).toThrow(
    expect.objectContaining({ code, message: expect.stringMatching(sentence) }),
  )
})

const good = facts(image(['n', 3, 'h', 'w']))
const sized = facts(image([1, 3, 224, 320]))
const two = [image([1, 4420, 4], 'float32', 'boxes'), image(['n', 3, 'h', 'w'], 'float32', 'picture')]

test.each([
  ['free size', good, {}],
  ['a free size that the manifest fixes', good, { size: { width: 8, height: 8 } }],
  ['a fixed size', sized, { size: { width: 320, height: 224 } }],
  ['names', good, { input: { name: 'x' }, output: { name: 'y' } }],
  ['one output of two', facts(image(['n', 3, 'h', 'w']), { outputs: two }), { output: { name: 'picture' } }],
  ['an output without a shape', facts(image([1, 3, 'h', 'w']), { outputs: [image(null)] }), {}],
])('a graph agrees with its manifest: %s', (_, model, overrides) => {
  expect(checkManifest(model, floatManifest(overrides)).input.name).toBe('x')
})

test.each([
  ['an old opset', { ...good, opset: 6 }, {}, /opset 6; opset 7 is the oldest/],
  ['no input', { ...good, inputs: [] }, {}, /has no input/],
  ['two inputs', { ...good, inputs: two }, {}, /2 inputs \(boxes, picture\); a frame, and a style image/],
  [
    'two outputs',
    { ...good, outputs: two },
    {},
    /2 outputs \(boxes, picture\); name the image in .*output\.name/,
  ],
  ['another name', good, { input: { name: 'z' } }, /names the input "z", the model has x/],
  ['another type', good, { input: { type: 'uint8' } }, /input "x" is float32, the manifest says uint8/],
  [
    'half floats',
    facts(image(['n', 3, 'h', 'w'], 'float16')),
    {},
    /is float16.*keep float16 inside the graph/,
  ],
  [
    'another layout',
    good,
    { input: { layout: 'NHWC' } },
    /\[n, 3, h, w\], which is not the manifest's layout NHWC/,
  ],
  ['another fixed layout', facts(image(['n', 8, 8, 3])), {}, /\[n, 8, 8, 3\], which is not .* layout NCHW/],
  ['one channel', facts(image(['n', 1, 'h', 'w'])), {}, /has 1 channel, RGB are 3; channels "Y"/],
  ['no image', facts(image([1, 1000])), {}, /has 2 dimensions, an image batch has 4/],
  [
    'a fixed batch',
    facts(image([4, 3, 'h', 'w'])),
    {},
    /takes 4 images at once; the batch must be free or 1/,
  ],
  ['a fixed size left out', sized, {}, /fixed width 320, the manifest says any size; give size as/],
  ['another fixed size', sized, { size: { width: 320, height: 8 } }, /fixed height 224, the manifest says 8/],
  [
    'a scale that is not the output',
    sized,
    { size: { width: 320, height: 224 }, output: { scale: 2 } },
    /is 640/,
  ],
])('a graph differs from its manifest: %s', (_, model, overrides, sentence) => {
  expect(() => checkManifest(model, floatManifest(overrides))).toThrow(
    expect.objectContaining({ code: 'model-mismatch', message: expect.stringMatching(sentence) }),
  )
})

test('the built-in models agree with their manifests and carry their digest', () => {
  for (const { bytes, manifest } of builtinModels()) {
    checkManifest(inspectModel(bytes), manifest)
    expect(parseManifest(manifest, manifest.name)).toEqual(manifest)
    expect(manifest.sha256).toMatch(/^[0-9a-f]{64}$/)
  }
})

function floatManifest({
  input = {},
  output = {},
  size = {},
}: {
  input?: object
  output?: object
  size?: object
}) {
  return parseManifest(
    { name: 'any', input: { ...floats, ...input }, output: { ...floats, ...output }, size },
    'test',
  )
}

function emptyModel(initializer: Uint8Array[]) {
  const graph = createGraphBuilder('empty/')
  if (initializer.length > 0) graph.add('Identity', ['x'], {}, 'y')
  return {
    irVersion: 8,
    opsetImport: [{ domain: '', version: 17 }],
    graph: {
      node: graph.take(),
      initializer,
      input: [imageValue('x', elementTypes.float32, [1, 3, 8, 8])],
      output: [imageValue('y', elementTypes.float32, [1, 3, 8, 8])],
      valueInfo: [],
    },
  }
}

/** A TensorProto with the name `big.weight` (field 8) and data_location EXTERNAL (field 14). */
function externalWeights(): Uint8Array {
  const name = text('big.weight')
  return new Uint8Array([(8 << 3) | 2, name.length, ...name, 14 << 3, 1])
}

function inferManifest(model: ModelFacts, name: string) {
  const { draft, questions } = draftManifest({ name }, model)
  return finishManifest(draft, questions, model, 'test')
}
