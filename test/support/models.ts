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
