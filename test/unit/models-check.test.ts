import { Tensor } from 'onnxruntime-node'
import { expect, test } from 'vitest'
import { countMultiplyAdds, multiplyAddsOf } from '../../scripts/models-check/multiply-adds.ts'
import { countParameters } from '../../scripts/models-check/parameters.ts'
import { crop, fromBytes, type Picture, toBytes } from '../../scripts/models-check/pictures.ts'
import { brokenPromises, type Figures } from '../../scripts/models-check/promises.ts'
import { formatTable, roundFigures } from '../../scripts/models-check/report.ts'
import { spread } from '../../scripts/models-check/sample-sheet.ts'
import { gradient, measureSteadiness, withRoom } from '../../scripts/models-check/steadiness.ts'
import { ablationOf, parseComparison, shippedSubjects } from '../../scripts/models-check/subjects.ts'
import { parseManifest } from '../../src/shared/models/manifest.ts'
import { sha256 } from '../../src/shared/models/model-store.ts'
import { seeded } from '../../scripts/chaos/seeded.ts'

const subjects = await shippedSubjects()

test('the trained networks are measured, not those written by code nor the one without the stability term', () => {
  expect(subjects.map(({ name }) => name)).toEqual(['composition-vii', 'great-wave', 'starry-night'])
})

test.for([...subjects, ...(await Promise.all(subjects.map(ablationOf)))])(
  '$name has the size and the cost of its card',
  async ({ bytes }) => {
    expect(countParameters(bytes)).toBe(234_180)
    const blank = new Tensor('float32', new Float32Array(3 * 640 * 360), [1, 3, 360, 640])
    const flop = 2 * (await countMultiplyAdds(bytes, { input: blank }))
    expect(flop / (640 * 360) / 1e6).toBeCloseTo(0.0346, 4)
  },
)

test.each([
  ['Conv', [[1, 3, 8, 8], [16, 3, 5, 5], [16]], [1, 16, 4, 4], 16 * 4 * 4 * 3 * 5 * 5],
  [
    'Conv',
    [
      [1, 16, 8, 8],
      [16, 1, 3, 3],
    ],
    [1, 16, 8, 8],
    16 * 8 * 8 * 3 * 3,
  ],
  [
    'ConvTranspose',
    [
      [1, 16, 4, 4],
      [16, 8, 2, 2],
    ],
    [1, 8, 8, 8],
    16 * 4 * 4 * 8 * 2 * 2,
  ],
  [
    'MatMul',
    [
      [2, 5, 7],
      [7, 11],
    ],
    [2, 5, 11],
    2 * 5 * 11 * 7,
  ],
  [
    'Gemm',
    [
      [7, 5],
      [7, 11],
    ],
    [5, 11],
    5 * 11 * 7,
  ],
  ['Relu', [[1, 16, 8, 8]], [1, 16, 8, 8], 0],
])('%s %j to %j', (op, inputs, output, multiplyAdds) => {
  expect(multiplyAddsOf([{ op, inputs, output }])).toBe(multiplyAdds)
})

test('work that can not be counted is not taken for none', () => {
  expect(() => multiplyAddsOf([{ op: 'QLinearConv', inputs: [], output: [] }])).toThrow('QLinearConv')
})

const random = seeded(7)
const speckles: Picture = fromBytes(
  Uint8Array.from({ length: withRoom.width * withRoom.height * 3 }, () => random.int(0, 255)),
  withRoom,
)

test('a network that changes nothing has the steadiness of its input', async () => {
  const found = await measureSteadiness(async (picture) => picture, [speckles])
  expect(found.pan).toBe(0)
  // The mean absolute value of Gaussian noise is sigma times the root of 2/pi.
  expect(found.noise).toBeCloseTo((2 / 255) * Math.sqrt(2 / Math.PI), 4)
  // Of two independent uniform values, the mean difference is a third.
  expect(found.gradient).toBeCloseTo(1 / 3, 2)
  expect(await measureSteadiness(async (picture) => picture, [speckles])).toEqual(found)
})

test('a pattern that is fixed to the pixels shows in the pan only', async () => {
  const stripes = async ({ width, height }: Picture) => ({
    width,
    height,
    planes: Float32Array.from({ length: 3 * width * height }, (_, i) => (i % width) % 2),
  })
  const found = await measureSteadiness(stripes, [speckles])
  expect(found).toEqual({ noise: 0, pan: 0.5, gradient: 0.5 })
})

test('a network that gives another size is refused', async () => {
  const halving = async (picture: Picture) => crop(picture, 0, 0, { width: 320, height: 180 })
  await expect(measureSteadiness(halving, [speckles])).rejects.toThrow('320x180 for 640x360')
})

test('pictures keep their bytes, and their parts lie where they lay', () => {
  const size = { width: 3, height: 2 }
  const bytes = Uint8Array.from({ length: 18 }, (_, i) => i * 15)
  const picture = fromBytes(bytes, size)
  expect(toBytes(picture)).toEqual(bytes)
  expect(toBytes(crop(picture, 1, 1, { width: 2, height: 1 }))).toEqual(bytes.slice(12))
  expect(toBytes({ width: 1, height: 1, planes: Float32Array.of(-0.2, 0.5, 1.2) })).toEqual(
    Uint8Array.of(0, 128, 255),
  )
  const ramp = Float32Array.from({ length: 12 }, (_, i) => (i % 2) / 4)
  expect(gradient({ width: 2, height: 2, planes: ramp })).toBe(0.125)
})

test.each([
  ['other=runs/other.onnx', { name: 'other', model: 'runs/other.onnx', painting: undefined }],
  ['two=a.b=c.onnx:wave:1.jpg', { name: 'two', model: 'a.b=c.onnx', painting: 'wave:1.jpg' }],
])('--compare %s', (text, comparison) => {
  expect(parseComparison(text)).toEqual([comparison])
})

test.each([
  'model.onnx',
  'name=',
  'name=model.pt',
  'Name=model.onnx',
  '../up=model.onnx',
  'name=model.onnx:',
])('--compare %s is refused', (text) => expect(() => parseComparison(text)).toThrow('NAME=MODEL.onnx'))

const bytes = Uint8Array.of(1, 2, 3)
const subject = { name: 'calm', manifest: parseManifest({ name: 'calm', sha256: sha256(bytes) }, ''), bytes }
const without = { noise: 0.02, pan: 0.08, gradient: 0.06 }
const good: Figures = {
  ...{ parameters: 1_234, mflopPerPixel: 0.1, bytes: 2_000_000, opset: 17, fps: 25 },
  ...{ noise: 0.01, pan: 0.04, gradient: 0.05 },
}

test.each([
  ['its size', { bytes: 2_000_001 }, '2000001 bytes'],
  ['its cost', { mflopPerPixel: 0.1001 }, '0.1001 MFLOP'],
  ['its opset', { opset: 16 }, 'opset is 16'],
  ['noise', { noise: 0.0101 }, "for noise is 0.505 of the ablation's"],
  ['pan', { pan: 0.06 }, "for pan is 0.750 of the ablation's"],
])('a network breaks a promise by %s', (_, worse, sentence) => {
  const broken = brokenPromises(subject, { ...good, ...worse }, without)
  expect(broken).toEqual([expect.stringContaining(sentence)])
})

test('a network at the limits keeps what is promised', () => {
  expect(brokenPromises(subject, good, without)).toEqual([])
})

test('a network whose file is not the one in model.json breaks a promise', () => {
  expect(brokenPromises({ ...subject, bytes: Uint8Array.of(1) }, good, without)).toEqual([
    'calm: its sha256 is not the one in model.json.',
  ])
})

test('the report says the same to people and to programs', () => {
  const table = formatTable([{ name: 'calm', figures: good, ablation: without }])
  expect(table.split('\n').map((line) => line.trim().split(/ {2,}/))).toEqual([
    [
      'network',
      'parameters',
      'MFLOP/px',
      'MB',
      'opset',
      'fps',
      'noise',
      'pan',
      'gradient',
      'noise/abl.',
      'pan/abl.',
    ],
    ['calm', '1,234', '0.1000', '2.00', '17', '25.0', '0.0100', '0.0400', '0.0500', '50 %', '50 %'],
  ])
  expect(roundFigures({ ...good, noise: 0.0123456 }, without)).toMatchObject({
    noise: 0.01235,
    ofAblation: { noise: 0.617, pan: 0.5 },
  })
})

test('a sheet shows photographs from all over a folder', () => {
  const items = (count: number) => Array.from({ length: count }, (_, i) => i)
  expect(spread(items(3), 4)).toEqual([0, 1, 2])
  expect(spread(items(4), 4)).toEqual([0, 1, 2, 3])
  expect(spread(items(5), 4)).toHaveLength(4)
  expect(spread(items(20), 4)).toEqual([0, 5, 10, 15])
})
