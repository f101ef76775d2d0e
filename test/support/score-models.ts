import { createGraphBuilder, type GraphBuilder, imageValue } from '../../src/shared/models/graph-builder.ts'
import { elementTypes, encodeModel } from '../../src/shared/models/onnx-schema.ts'

const { float32, uint8, int64 } = elementTypes
const value = (name: string, dims: (number | string)[], type: number = float32) =>
  imageValue(name, type, dims)
type Values = ReturnType<typeof value>[]
const modelOf = (graph: GraphBuilder, input: Values, output: Values) =>
  encodeModel({
    irVersion: 8,
    opsetImport: [{ domain: '', version: 13 }],
    graph: { name: 'scores', node: graph.take(), initializer: [], input, output, valueInfo: [] },
  })

/** How much there is of each colour, as logits. */
export const colourManifest = {
  name: 'colours',
  input: { layout: 'NCHW', type: 'float32', range: '0..1' },
  size: { width: 16, height: 16 },
  scores: { task: 'classification', labels: ['red', 'green', 'blue'], softmax: true },
}
export function colourModel(): Uint8Array {
  const graph = createGraphBuilder('test/')
  const means = graph.add('ReduceMean', ['image'], { axes: [2, 3], keepdims: 0 })
  graph.add('Mul', [means, graph.floats([8])], {}, 'scores')
  return modelOf(graph, [value('image', ['n', 3, 16, 16])], [value('scores', ['n', 3])])
}

/** A face in every frame, from the left edge to its middle, and half a width to the right where all is red. */
export function faceModel(): Uint8Array {
  const graph = createGraphBuilder('test/')
  // Of a letterboxed frame the colours of the upper half: the rest is padding.
  const upper = graph.add('Slice', ['image', graph.ints([0]), graph.ints([16]), graph.ints([2])])
  const means = graph.add('ReduceMean', [upper], { axes: [2, 3], keepdims: 0 })
  const red = graph.floats([0.5, 0, 0.5, 0, 0, 0, 0, 0, 0, 0, 0, 0], [3, 4])
  const places = graph.add('Add', [graph.add('MatMul', [means, red]), graph.floats([0, 0.125, 0.5, 0.375])])
  graph.add('Reshape', [places, graph.ints([-1, 1, 4])], {}, 'boxes')
  const none = graph.add('MatMul', [means, graph.floats([0, 0, 0, 0, 0, 0], [3, 2])])
  const scores = graph.add('Add', [none, graph.floats([0.1, 0.9])])
  graph.add('Reshape', [scores, graph.ints([-1, 1, 2])], {}, 'scores')
  return modelOf(
    graph,
    [value('image', ['n', 3, 32, 32])],
    [value('scores', ['n', 1, 2]), value('boxes', ['n', 1, 4])],
  )
}

/** A vector of three means, which can't be worked out for a white frame. */
export function notWhiteModel(): Uint8Array {
  const graph = createGraphBuilder('test/')
  const least = graph.add('ReduceMin', ['image'], { keepdims: 0 })
  const whole = graph.add('Reshape', [graph.add('Cast', [least], { to: int64 }), graph.ints([1])])
  const place = graph.add('Div', [whole, graph.ints([250])])
  const nothing = graph.add('Cast', [graph.add('Gather', [graph.ints([0]), place])], { to: float32 })
  const means = graph.add('ReduceMean', [graph.add('Cast', ['image'], { to: float32 })], {
    ...{ axes: [1, 2], keepdims: 0 },
  })
  graph.add('Add', [means, nothing], {}, 'vector')
  return modelOf(graph, [value('image', [1, 'h', 'w', 3], uint8)], [value('vector', [1, 3])])
}

/** How light a picture is, over how light it is: one, and no number for a black one. */
export function ratioModel(): Uint8Array {
  const graph = createGraphBuilder('test/')
  const mean = graph.add('ReduceMean', ['image'], { axes: [1, 2, 3], keepdims: 0 })
  graph.add('Reshape', [graph.add('Div', [mean, mean]), graph.ints([-1, 1])], {}, 'score')
  return modelOf(graph, [value('image', ['n', 3, 'h', 'w'])], [value('score', ['n', 1])])
}
