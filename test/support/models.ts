import { createGraphBuilder, imageValue } from '../../src/shared/models/graph-builder.ts'
import { elementTypes, encodeModel } from '../../src/shared/models/onnx-schema.ts'

type Write = (graph: ReturnType<typeof createGraphBuilder>) => void

/** A model that says it keeps the size and then gives a picture twice as high. */
export const odd = () =>
  bytesModel(['n', 'h', 'w', 3], (graph) => graph.add('Concat', ['frames', 'frames'], { axis: 1 }, 'scored'))

/** A model that takes frames of 96x64 only, one at a time, and changes nothing. */
export const fixed = () =>
  bytesModel([1, 64, 96, 3], (graph) => graph.add('Identity', ['frames'], {}, 'scored'))

/** A model that takes and gives uint8 NHWC, as it says. */
function bytesModel(dims: (string | number)[], write: Write): Uint8Array {
  const graph = createGraphBuilder('test/')
  write(graph)
  return encodeModel({
    irVersion: 8,
    opsetImport: [{ domain: '', version: 17 }],
    graph: {
      name: 'test',
      node: graph.take(),
      initializer: [],
      input: [imageValue('frames', elementTypes.uint8, dims)],
      output: [imageValue('scored', elementTypes.uint8, dims)],
      valueInfo: [],
    },
  })
}

/** A model with two inputs: frames, and a style image whose mean colour they take on by half. */
export function styled(): Uint8Array {
  const graph = createGraphBuilder('test/')
  const mean = graph.add('ReduceMean', ['style'], { axes: [2, 3], keepdims: 1 })
  const sum = graph.add('Add', ['content', mean])
  graph.add('Mul', [sum, graph.floats([0.5])], {}, 'scored')
  const image = (name: string, n: number | string) => imageValue(name, elementTypes.float32, [n, 3, 'h', 'w'])
  return encodeModel({
    irVersion: 8,
    opsetImport: [{ domain: '', version: 17 }],
    graph: {
      name: 'styled',
      node: graph.take(),
      initializer: [],
      input: [image('content', 'n'), imageValue('style', elementTypes.float32, [1, 3, 'y', 'x'])],
      output: [image('scored', 'n')],
      valueInfo: [],
    },
  })
}
