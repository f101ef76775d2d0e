import { imageValue } from '../../src/shared/models/graph-builder.ts'
import {
  type AttributeProto,
  attributeTypes,
  elementTypes,
  encodeModel,
  encodeNode,
  encodeTensor,
} from '../../src/shared/models/onnx-schema.ts'
import { type OneClassSvm, type Rows, trainOneClass } from './one-class-svm.ts'
import type { Reading } from './readings.ts'

/** What brings the features to a mean of 0 and a deviation of 1. */
type Scale = { offset: number[]; scale: number[] }
export type SensorModel = { scale: Scale; svm: OneClassSvm }

/** What a model is given of a reading, in this order. */
export const features = ['Val', 'Hour'] as const

/** The hour goes round: 23:55 is next to 0:00. */
const onClock = ({ Val, Hour }: Pick<Reading, 'Val' | 'Hour'>) => [
  Val,
  Math.sin((Hour / 24) * 2 * Math.PI),
  Math.cos((Hour / 24) * 2 * Math.PI),
]

/** Learns what is normal of one device's tag. */
export function trainSensor(readings: Reading[], { nu = 0.005, gamma = 0.5 } = {}): SensorModel {
  const rows = readings.map(onClock)
  const scale = scaleOf(rows)
  return { scale, svm: trainOneClass(rows.map(scaled(scale)), { nu, gamma }) }
}

function scaleOf(rows: Rows): Scale {
  const columns = (rows[0] ?? []).map((_, k) => rows.map((row) => row[k] ?? 0))
  const offset = columns.map((column) => column.reduce((sum, value) => sum + value, 0) / column.length)
  const deviation = columns.map((column, k) =>
    Math.sqrt(column.reduce((sum, value) => sum + (value - (offset[k] ?? 0)) ** 2, 0) / column.length),
  )
  return { offset, scale: deviation.map((each) => 1 / (each || 1)) }
}

const scaled =
  ({ offset, scale }: Scale) =>
  (row: readonly number[]) =>
    row.map((value, k) => (value - (offset[k] ?? 0)) * (scale[k] ?? 1))

/** The features as the SVM sees them. */
export const seen = ({ scale }: SensorModel, reading: Reading) => scaled(scale)(onClock(reading))

/**
 * The model as ONNX: `features`, float32 [N, 2], the value and the hour, in; `prediction`, float32 [N, 1], out: 1 where the reading is as usual,
 * -1 where it is not. The same model gives the same bytes.
 */
export function sensorOnnx({ scale, svm }: SensorModel): Uint8Array {
  const ml = 'ai.onnx.ml'
  const floats = (name: string, values: number[]): AttributeProto => ({
    ...{ name, type: attributeTypes.floats, floats: values },
  })
  const int = (name: string, i: number): AttributeProto => ({ name, type: attributeTypes.int, i })
  const text = (name: string, value: string): AttributeProto => ({
    ...{ name, type: attributeTypes.string, s: new TextEncoder().encode(value) },
  })
  const node = (
    opType: string,
    [input, output]: [string[], string],
    attribute: AttributeProto[],
    domain?: string,
  ) => encodeNode({ input, output: [output], name: output, opType, attribute, ...(domain ? { domain } : {}) })
  const round = (2 * Math.PI) / 24
  return encodeModel({
    irVersion: 8,
    opsetImport: [
      { domain: '', version: 13 },
      { domain: ml, version: 1 },
    ],
    graph: {
      name: 'one-class-svm',
      node: [
        node('ArrayFeatureExtractor', [['features', 'valueAt'], 'value'], [], ml),
        node('ArrayFeatureExtractor', [['features', 'hourAt'], 'hour'], [], ml),
        node('Scaler', [['hour'], 'angle'], [floats('offset', [0]), floats('scale', [round])], ml),
        node('Sin', [['angle'], 'sine'], []),
        node('Cos', [['angle'], 'cosine'], []),
        node('Concat', [['value', 'sine', 'cosine'], 'row'], [int('axis', 1)]),
        node(
          'Scaler',
          [['row'], 'scaled'],
          [floats('offset', scale.offset), floats('scale', scale.scale)],
          ml,
        ),
        node(
          'SVMRegressor',
          [['scaled'], 'prediction'],
          [
            text('kernel_type', 'RBF'),
            floats('kernel_params', [svm.gamma, 0, 3]),
            floats('support_vectors', svm.vectors.flat()),
            floats('coefficients', svm.weights),
            floats('rho', [-svm.rho]),
            int('n_supports', svm.vectors.length),
            int('one_class', 1),
            text('post_transform', 'NONE'),
          ],
          ml,
        ),
      ],
      initializer: [index('valueAt', 0), index('hourAt', 1)],
      input: [imageValue('features', elementTypes.float32, ['rows', features.length])],
      output: [imageValue('prediction', elementTypes.float32, ['rows', 1])],
      valueInfo: [],
    },
  })
}

/** A constant that says which column. */
const index = (name: string, column: number) =>
  encodeTensor({
    ...{ name, dims: [1], dataType: elementTypes.int64 },
    rawData: new Uint8Array(BigInt64Array.of(BigInt(column)).buffer),
  })
