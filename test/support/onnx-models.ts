import { InferenceSession, Tensor } from 'onnxruntime-node'
import protobuf from 'protobufjs'
import { createGraphBuilder, type GraphBuilder, imageValue } from '../../src/shared/models/graph-builder.ts'
import { elementTypes, encodeModel } from '../../src/shared/models/onnx-schema.ts'
import type { FrameShape } from '../../src/shared/models/wrap.ts'

/** Weights of a model that mixes the channels of each pixel. */
export const mix = [0.6, 0.3, 0.1, -0.2, 0.9, 0.3, 0.05, 0.15, 0.7]

/** A small model, written with operators that are the same in every opset. */
export interface TestModel {
  opset: number
  write: (graph: GraphBuilder) => unknown
  irVersion?: number
  type?: 'float32' | 'uint8'
  outputType?: 'float32' | 'uint8'
  layout?: 'NCHW' | 'NHWC'
  dims?: (number | string)[]
  outputDims?: (number | string)[]
  moreOutputs?: string[]
  weights?: 'initializer'
}

export function buildModel(model: TestModel): Uint8Array {
  const type = model.type ?? 'float32'
  const dims = model.dims ?? (model.layout === 'NHWC' ? ['n', 'h', 'w', 3] : ['n', 3, 'h', 'w'])
  const outputDims = model.outputDims ?? dims.map((dim) => (typeof dim === 'string' ? `out_${dim}` : dim))
  const graph = createGraphBuilder('model/')
  model.write(model.weights ? { ...graph, floats: () => 'weights' } : graph)
  const value = (name: string, of: keyof typeof elementTypes, shape: (number | string)[]) =>
    imageValue(name, elementTypes[of], shape)
  return encodeModel({
    irVersion: model.irVersion ?? (model.opset < 9 ? 3 : 8),
    opsetImport: [{ domain: '', version: model.opset }],
    graph: {
      node: graph.take(),
      name: 'test',
      initializer: model.weights ? [mixWeights()] : [],
      input: [
        ...(model.weights ? [value('weights', 'float32', [3, 3, 1, 1])] : []),
        value('image', type, dims),
      ],
      output: [
        ...(model.moreOutputs ?? []).map((name) => value(name, type, outputDims)),
        value('scored', model.outputType ?? type, outputDims),
      ],
      valueInfo: [],
    },
  })
}

function mixWeights(): Uint8Array {
  const writer = protobuf.Writer.create()
  for (const dim of [3, 3, 1, 1]) writer.uint32(8).int64(dim)
  writer.uint32(16).int32(elementTypes.float32).uint32(66).string('weights')
  return writer
    .uint32(74)
    .bytes(new Uint8Array(Float32Array.from(mix).buffer))
    .finish()
}

export function writeMix(graph: GraphBuilder, output = 'scored'): string {
  return graph.add('Conv', ['image', graph.floats(mix, [3, 3, 1, 1])], {}, output)
}

export function mixNhwc(opset: number): TestModel {
  const transposed = mix.map((_, index) => mix[(index % 3) * 3 + Math.floor(index / 3)]!)
  return {
    opset,
    layout: 'NHWC',
    write: (graph) => graph.add('MatMul', ['image', graph.floats(transposed, [3, 3])], {}, 'scored'),
  }
}

export function writeUpscale(graph: GraphBuilder, image: string, by = 2): string {
  const ones = graph.floats(Array<number>(3 * by * by).fill(1), [3, 1, by, by])
  return graph.add('ConvTranspose', [image, ones], { group: 3, strides: [by, by] }, 'scored')
}

/** Brightness of `side` squared in, three times as wide and high out: each pixel nine times. */
export const threefold = ({ opset, side }: { opset: number; side: number }): Uint8Array =>
  buildModel({
    opset,
    write: (graph) =>
      graph.add(
        'ConvTranspose',
        ['image', graph.floats(Array<number>(9).fill(1), [1, 1, 3, 3])],
        { strides: [3, 3] },
        'scored',
      ),
    dims: ['n', 1, side, side],
    outputDims: ['n', 1, 3 * side, 3 * side],
  })

export function writePixelate(graph: GraphBuilder): string {
  return writeUpscale(
    graph,
    graph.add('AveragePool', ['image'], { kernel_shape: [4, 4], strides: [4, 4] }),
    4,
  )
}

export function noise({ width, height, batch }: FrameShape, seed = 7): Uint8Array {
  let state = seed
  return new Uint8Array(batch * height * width * 3).map(() => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state >>> 24
  })
}

/** Runs a wrapped model, which has one input and one output. */
export async function run(bytes: Uint8Array, pixels: Uint8Array, { width, height, batch }: FrameShape) {
  const session = await InferenceSession.create(bytes, { intraOpNumThreads: 1 })
  const feed = new Tensor('uint8', pixels, [batch, height, width, 3])
  const result = Object.values(await session.run({ [session.inputNames[0]!]: feed }))
  await session.release()
  if (result.length !== 1) throw new Error(`${result.length} outputs`)
  return { data: result[0]!.data as Uint8Array, dims: result[0]!.dims }
}
