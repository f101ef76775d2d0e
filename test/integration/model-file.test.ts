import { readFile, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { type ModelFileOptions, readModelFile } from '../../src/cli/model-file.ts'
import { sensorOnnx } from '../../examples/sensors/sensor-model.ts'
import { openImage } from '../../src/shared/image.ts'
import { inspectModel } from '../../src/shared/models/inspect.ts'
import { buildModel, writeMix, writePixelate, writeUpscale } from '../support/onnx-models.ts'
import { fixed, odd, styled } from '../support/models.ts'
import { classifier, echo, forest, quotient } from '../support/table-models.ts'
import { tempDir } from '../support/temp-dir.ts'

const dir = tempDir()
let files = 0

/** Reads a model as `models add` does; whoever is asked answers with `said`. */
async function read(
  bytes: Uint8Array,
  { manifest, ...options }: Omit<Partial<ModelFileOptions>, 'manifest'> & { manifest?: object } = {},
  said: Record<string, string> = {},
) {
  const path = join(dir, `Model ${++files}.onnx`)
  await writeFile(path, bytes)
  if (manifest) await writeFile(`${path}.json`, JSON.stringify(manifest))
  return await readModelFile(path, {
    ...(manifest ? { manifest: `${path}.json` } : {}),
    ask: async ({ field }) => await Promise.resolve(said[field]),
    ...options,
  })
}

test('what the graph says need not be said again, and what it does not say is found out by running it', async () => {
  const { manifest, picture } = await read(
    buildModel({ opset: 9, write: writePixelate }),
    {},
    { 'input.range': '0..1', 'output.range': '0..1' },
  )
  expect(manifest).toMatchObject({
    name: `model-${files}`,
    input: { layout: 'NCHW', type: 'float32', range: '0..1', channels: 'RGB' },
    size: { multipleOf: 4 },
    output: { scale: 1 },
  })
  expect(manifest.version).toMatch(/^[0-9a-f]{12}$/)
  // By which people choose it: the photograph on the left, what became of it on the right.
  const shown = await openImage(picture ?? '').metadata()
  expect(shown).toMatchObject({ format: 'jpeg', width: 320, height: 180 })
})

test('how much a model scales is found out, free or fixed in size', async () => {
  const write = (graph: Parameters<typeof writeUpscale>[0]) => writeUpscale(graph, 'image', 3)
  const ranges = { input: { range: '0..255' }, output: { range: '0..255' } }
  expect((await read(buildModel({ opset: 17, write }), { manifest: ranges })).manifest.output.scale).toBe(3)
  for (const fit of ['stretch', 'letterbox', 'tile']) {
    const bytes = buildModel({ opset: 17, dims: [1, 3, 32, 48], outputDims: [1, 3, 'y', 'x'], write })
    const { manifest } = await read(bytes, { manifest: { ...ranges, size: { fit } } })
    expect(manifest).toMatchObject({ output: { scale: 3 }, size: { width: 48, height: 32, fit } })
  }
})

test('a style input is known by its name', async () => {
  const { manifest } = await read(styled(), {}, { 'input.range': '0..1', 'output.range': '0..1' })
  expect(manifest).toMatchObject({ input: { name: 'content' }, style: { name: 'style', range: '0..1' } })
})

test('a picture that is nearly all one colour is remarked on', async () => {
  const bytes = buildModel({ opset: 17, write: writeMix })
  const ranges = (output: string) => ({ input: { range: '0..255' }, output: { range: output } })
  expect((await read(bytes, { manifest: ranges('0..255') })).warnings).toEqual([])
  expect((await read(bytes, { manifest: ranges('0..1') })).warnings).toHaveLength(1)
})

test('float16 inside makes the same pictures from half the bytes', async () => {
  const shipped = new URL('../../models/great-wave/1/', import.meta.url)
  const manifest = JSON.parse(await readFile(new URL('model.json', shipped), 'utf8')) as object
  const bytes = await readFile(new URL('model.onnx', shipped))
  const file = await read(bytes, { manifest: { ...manifest, version: '1-half' }, half: true })
  expect(file.likeness).toBeGreaterThan(50)
  expect(file.bytes.length).toBeLessThan(bytes.length * 0.6)
  expect(file.manifest).toMatchObject({ version: '1-half', sha256: undefined, size: { multipleOf: 4 } })
  expect(inspectModel(file.bytes).inputs).toEqual(inspectModel(bytes).inputs)
})

test('weights listed among the inputs of an old file, and a style input, are turned to float16 too', async () => {
  const said = { 'input.range': '0..1', 'output.range': '0..1' }
  const old = buildModel({ opset: 9, irVersion: 3, write: writeMix, weights: 'initializer' })
  expect((await read(old, { half: true }, said)).likeness).toBeGreaterThan(45)
  expect((await read(styled(), { half: true }, said)).likeness).toBeGreaterThan(45)
})

test.each([
  ['a model of bytes has nothing to turn', fixed(), {}, /not float32/],
  [
    'numbers that float16 can not tell apart',
    buildModel({
      opset: 17,
      write: (graph) => {
        // 100,000 is more than float16 holds.
        const far = graph.add('Add', ['image', graph.floats([1e5])])
        graph.add('Sub', [far, graph.floats([1e5])], {}, 'scored')
      },
    }),
    { 'input.range': '0..255', 'output.range': '0..255' },
    /other pictures: .* dB/,
  ],
])('float16 is refused: %s', async (_, bytes, said, sentence) => {
  await expect(read(bytes, { half: true }, said)).rejects.toThrow(
    expect.objectContaining({ code: 'half-refused', message: expect.stringMatching(sentence) }),
  )
})

const twoOutputs = () => buildModel({ opset: 17, write: writeMix, moreOutputs: ['boxes'] })

test.each([
  ['text', () => Buffer.from('hello'), {}, 'bad-model', /not an ONNX model/],
  ['nothing', () => Buffer.alloc(0), {}, 'bad-model', /empty/],
  ['half a file', () => fixed().slice(0, 80), {}, 'bad-model', /not an ONNX model/],
  ['two outputs', twoOutputs, {}, 'model-mismatch', /2 outputs \(boxes, scored\); name the image/],
  [
    'floats and nothing said',
    () => buildModel({ opset: 17, write: writeMix }),
    {},
    'manifest-needed',
    /State input.range/,
  ],
  [
    'another file than the manifest names',
    fixed,
    { sha256: 'a'.repeat(64) },
    'model-sha256',
    /sha256 differs/,
  ],
  [
    'a size that is not the graph’s',
    fixed,
    { size: { width: 97, height: 64 } },
    'model-mismatch',
    /width 96/,
  ],
  ['a shape that is not what it says', odd, {}, 'model-refuses', /gives .* for frames of/],
  ['a range that is none', fixed, { input: { range: '0..2' } }, 'bad-manifest', /input.range/],
  ['a manifest that is a list', fixed, [], 'bad-manifest', /not a JSON object/],
])('refused, with the reason: %s', async (_, bytes, manifest, code, sentence) => {
  await expect(read(bytes(), { manifest })).rejects.toThrow(
    expect.objectContaining({ code, message: expect.stringMatching(sentence) }),
  )
})

test('a file of 3 GB is refused without being read', async () => {
  const path = join(dir, 'large.onnx')
  await writeFile(path, '')
  await truncate(path, 3 * 2 ** 30)
  await expect(readModelFile(path, { ask: async () => await Promise.resolve(undefined) })).rejects.toThrow(
    expect.objectContaining({ code: 'model-too-large', message: expect.stringMatching(/3\.0 GiB/) }),
  )
})

test('a style image for a model that takes none is refused', async () => {
  await writeFile(join(dir, 'style.png'), await readFile(new URL('../../docs/preview.jpg', import.meta.url)))
  await expect(read(fixed(), { style: join(dir, 'style.png') })).rejects.toThrow(
    expect.objectContaining({ code: 'no-style' }),
  )
})

const svm = { vectors: [[0, 0, 1]], weights: [1], rho: 0.5, gamma: 0.5 }
const scale = { offset: [10, 0, 0], scale: [1, 1, 1] }

test.each([
  [
    'an SVM',
    sensorOnnx({ scale, svm }),
    { count: 2, type: 'float32', scores: 'prediction', task: 'anomaly' },
  ],
  ['a forest', forest(), { count: 1, type: 'float32', scores: 'variable', task: 'anomaly' }],
  [
    'a classifier, whose labels it knows',
    classifier(),
    {
      count: 2,
      type: 'float32',
      scores: 'probabilities',
      task: 'classification',
      labels: ['low', 'middle', 'high'],
    },
  ],
  [
    'doubles, of which nobody says what they are',
    echo(),
    { count: 2, type: 'float64', scores: 'same', task: 'vector' },
  ],
])('of a model of rows the graph says it all: %s', async (_, bytes, { count, type, ...scores }) => {
  const { manifest, picture, warnings } = await read(bytes)
  expect(manifest).toMatchObject({ input: { kind: 'features', name: 'features', type, count }, scores })
  expect([picture, warnings]).toEqual([undefined, []])
})

test('what a graph does not say of a model of rows is asked, or said by whoever adds it', async () => {
  const said = await read(echo(), {}, { 'scores.task': 'classification' })
  expect(said.manifest.scores).toEqual({ ...said.manifest.scores, task: 'classification', scores: 'same' })
  const told = await read(echo(), { task: 'classification', manifest: { scores: { labels: ['no', 'yes'] } } })
  expect(told.manifest.scores).toMatchObject({ task: 'classification', labels: ['no', 'yes'] })
  const free = echo({ count: 'features' })
  await expect(read(free)).rejects.toThrow(/^The graph doesn't say how many features .* Give --features/)
  expect((await read(free, { features: 3, task: 'vector' })).manifest).toMatchObject({ input: { count: 3 } })
  expect((await read(quotient())).warnings).toHaveLength(1)
})

test.each([
  [
    'maps in place of a tensor',
    classifier({ zipped: true }),
    {},
    /"probabilities" is a sequence .* without ZipMap/,
  ],
  ['another number of features', forest(), { features: 2 }, /takes 1 features, the manifest says 2/],
  [
    'two numbers for an anomaly',
    echo(),
    { task: 'anomaly' },
    /has 2 numbers for each row; an anomaly is one/,
  ],
  [
    'labels that are too few',
    classifier(),
    { manifest: { scores: { task: 'classification', labels: ['a', 'b'] } } },
    /has 3 classes, the manifest has 2 labels/,
  ],
  [
    'an output that is text',
    classifier(),
    { manifest: { scores: { scores: 'label' } } },
    /"label" is string; scores are/,
  ],
  ['boxes in rows', forest(), { task: 'detection' }, /scores: must tell what a model of features makes/],
  ['half of it', forest(), { half: true }, /--half is for models of images/],
])('a model of rows is refused with one sentence: %s', async (_, bytes, options, sentence) => {
  await expect(read(bytes, options)).rejects.toThrow(sentence)
})
