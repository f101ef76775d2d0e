import { createGraphBuilder, imageValue } from '../../src/shared/models/graph-builder.ts'
import { elementTypes, encodeModel } from '../../src/shared/models/onnx-schema.ts'

/** A model that says it keeps the size and then gives a picture twice as high. */
export function odd(): Uint8Array {
  const graph = createGraphBuilder('odd/')
  graph.add('Concat', ['frames', 'frames'], { axis: 1 }, 'scored')
  const dims = ['n', 'h', 'w', 3]
  return encodeModel({
    irVersion: 8,
    opsetImport: [{ domain: '', version: 17 }],
    graph: {
      name: 'odd',
      node: graph.take(),
      initializer: [],
      input: [imageValue('frames', elementTypes.uint8, dims)],
      output: [imageValue('scored', elementTypes.uint8, dims)],
      valueInfo: [],
    },
  })
}
