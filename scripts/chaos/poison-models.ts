import { createGraphBuilder, type GraphBuilder, imageValue } from '../../src/shared/models/graph-builder.ts'
import { type ModelManifest, parseManifest } from '../../src/shared/models/manifest.ts'
import { elementTypes, encodeModel } from '../../src/shared/models/onnx-schema.ts'

/**
 * Looks that change nothing, and that no white frame gets through: a frame is white when the least value of all its pixels
 * is this or more, so that it may lose a little when it is encoded.
 */
const white = 250

type PoisonModel = { bytes: Uint8Array; manifest: ModelManifest }

/**
 * A white frame kills the process that scores it: the least whole number divided by -1 is more than 64 bits hold, and the
 * processor traps (SIGFPE). Division by zero would not do: the runtime looks out for it.
 */
export const deadlyModel = (): PoisonModel =>
  unlessWhite('deadly', (graph, darkest) => {
    const isWhite = graph.add('Div', [darkest, graph.ints([white])])
    const least = graph.add('Mul', [graph.add('Mul', [isWhite, graph.ints([-(2 ** 62)])]), graph.ints([2])])
    const divisor = graph.add('Sub', [graph.ints([1]), graph.add('Mul', [isWhite, graph.ints([2])])])
    return graph.add('Div', [least, divisor])
  })

/** Kills the process that loads it: it dies of any frame, also of the black one that a model is tried with. */
export const lethalModel = (): PoisonModel =>
  unlessWhite('lethal', (graph, darkest) => {
    const none = graph.add('Mul', [darkest, graph.ints([0])])
    const least = graph.add('Mul', [graph.add('Add', [none, graph.ints([-(2 ** 62)])]), graph.ints([2])])
    return graph.add('Div', [least, graph.add('Sub', [none, graph.ints([1])])])
  })

/** A white frame ends the run with an error, and nothing more. */
export const failingModel = (): PoisonModel =>
  unlessWhite('failing', (graph, darkest) => {
    // 0, or for a white frame 1: a place that the vector it is looked up in does not have.
    const place = graph.add('Div', [darkest, graph.ints([white])])
    return graph.add('Gather', [graph.ints([0]), place])
  })

/** `write` gives a number, from the least value of a frame's pixels, that can't be worked out for a white frame. */
function unlessWhite(name: string, write: (graph: GraphBuilder, darkest: string) => string): PoisonModel {
  const graph = createGraphBuilder(`${name}/`)
  // One frame at a time, so that it is one frame that is poison, not those beside it.
  const dims = [1, 'h', 'w', 3]
  const least = graph.add('ReduceMin', ['frames'], { keepdims: 0 })
  const darkest = graph.add('Reshape', [
    graph.add('Cast', [least], { to: elementTypes.int64 }),
    graph.ints([1]),
  ])
  // Times 0: it must be worked out, but changes nothing. The frame keeps its shape, and so its pixels.
  const nothing = graph.add('Mul', [write(graph, darkest), graph.ints([0])])
  const shape = graph.add('Add', [graph.add('Shape', ['frames']), nothing])
  graph.add('Reshape', ['frames', shape], {}, 'scored')
  const bytes = encodeModel({
    irVersion: 8,
    opsetImport: [{ domain: '', version: 17 }],
    graph: {
      name,
      node: graph.take(),
      initializer: [],
      input: [imageValue('frames', elementTypes.uint8, dims)],
      output: [imageValue('scored', elementTypes.uint8, dims)],
      valueInfo: [],
    },
  })
  return { bytes, manifest: parseManifest({ name }, name) }
}
