import { imageValue } from '../../src/shared/models/graph-builder.ts'
import {
  type AttributeProto,
  attributeTypes,
  elementTypes,
  encodeModel,
  encodeNode,
  encodeTensor,
  type ValueInfoProto,
} from '../../src/shared/models/onnx-schema.ts'

/** Models of the features of rows, as what trains them exports them: small ones, written by code. */

const ml = 'ai.onnx.ml'
const bytes = (text: string) => new TextEncoder().encode(text)
const floats = (name: string, values: number[]): AttributeProto => ({
  ...{ name, type: attributeTypes.floats, floats: values },
})
const ints = (name: string, values: number[]): AttributeProto => ({
  ...{ name, type: attributeTypes.ints, ints: values },
})
const int = (name: string, i: number): AttributeProto => ({ name, type: attributeTypes.int, i })
const text = (name: string, value: string): AttributeProto => ({
  ...{ name, type: attributeTypes.string, s: bytes(value) },
})
const texts = (name: string, values: string[]): AttributeProto => ({
  ...{ name, type: attributeTypes.strings, strings: values.map(bytes) },
})

type Ends = [input: string[], output: string[]]
const node = (opType: string, [input, output]: Ends, attribute: AttributeProto[] = [], domain = '') =>
  encodeNode({
    ...{ input, output, name: output[0] ?? '', opType, attribute },
    ...(domain ? { domain } : {}),
  })

type Graph = { nodes: Uint8Array[]; input: ValueInfoProto; output: ValueInfoProto[]; weights?: Uint8Array[] }

function model({ nodes, input, output, weights = [] }: Graph): Uint8Array {
  return encodeModel({
    irVersion: 8,
    opsetImport: [
      { domain: '', version: 17 },
      { domain: ml, version: 3 },
    ],
    graph: { ...{ node: nodes, name: 'rows', initializer: weights, output }, input: [input], valueInfo: [] },
  })
}

const rows = (count: number | string, type: 'float32' | 'float64' = 'float32', n: number | string = 'n') =>
  imageValue('features', elementTypes[type], [n, count])
const made = (name: string, count: number, type: keyof typeof elementTypes = 'float32') =>
  imageValue(name, elementTypes[type], ['n', count])

/**
 * A linear classifier of two features with three labels, as skl2onnx writes one: the label itself, and `probabilities` [N, 3].
 * With `zipped` they come as maps from label to number, which no tensor holds.
 */
export function classifier({ zipped = false } = {}): Uint8Array {
  const labels = ['low', 'middle', 'high']
  const raw = zipped ? 'raw' : 'probabilities'
  const attributes = [
    floats('coefficients', [-2, 0, 0, 0, 2, 0.5]),
    floats('intercepts', [1, 0.5, -1]),
    texts('classlabels_strings', labels),
    text('post_transform', 'SOFTMAX'),
  ]
  const zip = node('ZipMap', [[raw], ['probabilities']], [texts('classlabels_strings', labels)], ml)
  // A sequence (4) of maps (5) from strings (1: 8) to float tensors (2).
  const map = [0x2a, 12, 0x08, 8, 0x12, 8, 0x0a, 6, 0x08, 1, 0x12, 2, 0x0a, 0]
  const sequence = Uint8Array.from([0x0a, map.length, ...map])
  return model({
    nodes: [
      node('LinearClassifier', [['features'], ['label', raw]], attributes, ml),
      ...(zipped ? [zip] : []),
    ],
    input: rows(2),
    output: [
      imageValue('label', elementTypes.string, ['n']),
      zipped ? { name: 'probabilities', type: { sequenceType: sequence } } : made('probabilities', 3),
    ],
  })
}

/**
 * A forest that sums its trees, each of which looks whether feature 0 is at most a threshold: in `deep` + 1 leaves. The
 * answer is the number of thresholds, which lie at 0, 1, 2 ..., that a row is above, times `trees`.
 */
export function forest({ trees = 2, deep = 3 } = {}): Uint8Array {
  const nodes: { tree: number; id: number; mode: string; value: number; yes: number; no: number }[] = []
  for (let tree = 0; tree < trees; tree++) {
    for (let level = 0; level < deep; level++) {
      const id = level * 2
      const leaf = { tree, mode: 'LEAF', value: 0, yes: 0, no: 0 }
      nodes.push({ tree, id, mode: 'BRANCH_LEQ', value: level, yes: id + 1, no: id + 2 })
      nodes.push({ ...leaf, id: id + 1 })
      if (level === deep - 1) nodes.push({ ...leaf, id: id + 2 })
    }
  }
  const leaves = nodes.filter(({ mode }) => mode === 'LEAF')
  const weightOf = (id: number) => (id % 2 === 1 ? (id - 1) / 2 : id / 2)
  const attributes = [
    int('n_targets', 1),
    ints(
      'nodes_treeids',
      nodes.map(({ tree }) => tree),
    ),
    ints(
      'nodes_nodeids',
      nodes.map(({ id }) => id),
    ),
    ints(
      'nodes_featureids',
      nodes.map(() => 0),
    ),
    texts(
      'nodes_modes',
      nodes.map(({ mode }) => mode),
    ),
    floats(
      'nodes_values',
      nodes.map(({ value }) => value),
    ),
    ints(
      'nodes_truenodeids',
      nodes.map(({ yes }) => yes),
    ),
    ints(
      'nodes_falsenodeids',
      nodes.map(({ no }) => no),
    ),
    ints(
      'target_treeids',
      leaves.map(({ tree }) => tree),
    ),
    ints(
      'target_nodeids',
      leaves.map(({ id }) => id),
    ),
    ints(
      'target_ids',
      leaves.map(() => 0),
    ),
    floats(
      'target_weights',
      leaves.map(({ id }) => weightOf(id)),
    ),
  ]
  return model({
    nodes: [node('TreeEnsembleRegressor', [['features'], ['variable']], attributes, ml)],
    input: rows(1),
    output: [made('variable', 1)],
  })
}

/** What is in a table at the place that the only feature names: fails the whole run where there is no such place. */
export function lookup(table = [10, 20, 30, 40]): Uint8Array {
  const weights = encodeTensor({
    ...{ name: 'table', dims: [table.length, 1], dataType: elementTypes.float32 },
    rawData: new Uint8Array(Float32Array.from(table).buffer),
  })
  const to = (type: number) => [int('to', type)]
  return model({
    nodes: [
      node('Cast', [['features'], ['places']], to(elementTypes.int64)),
      node('Gather', [['table', 'places'], ['found']], [int('axis', 0)]),
      node('Flatten', [['found'], ['value']], [int('axis', 1)]),
    ],
    input: rows(1),
    output: [made('value', 1)],
    weights: [weights],
  })
}

type Echo = { type?: 'float32' | 'float64'; n?: number | string; count?: number | string }

/** Gives features back as they are, in the type it takes: also what is no number. One row at a time where `n` is 1. */
export function echo({ type = 'float64', n = 'n', count = 2 }: Echo = {}): Uint8Array {
  return model({
    nodes: [node('Identity', [['features'], ['same']])],
    input: rows(count, type, n),
    output: [imageValue('same', elementTypes[type], [n, count])],
  })
}

/** The quotient of two features: Infinity where the second is 0, and no number where both are. */
export function quotient(): Uint8Array {
  const column = (name: string, at: number) => [
    encodeTensor({
      ...{ name, dims: [1], dataType: elementTypes.int64 },
      rawData: new Uint8Array(BigInt64Array.of(BigInt(at)).buffer),
    }),
  ]
  return model({
    nodes: [
      node('Gather', [['features', 'first'], ['a']], [int('axis', 1)]),
      node('Gather', [['features', 'second'], ['b']], [int('axis', 1)]),
      node('Div', [['a', 'b'], ['quotient']]),
    ],
    input: rows(2),
    output: [made('quotient', 1)],
    weights: [...column('first', 0), ...column('second', 1)],
  })
}
