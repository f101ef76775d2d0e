import { InputError } from '../errors.ts'
import { checkManifest, factsOf, readModel, type WholeModel } from './inspect.ts'
import type { ModelManifest } from './manifest.ts'
import {
  attributeTypes,
  decodeNode,
  decodeTensor,
  elementTypes,
  encodeModel,
  encodeNode,
  encodeTensor,
  type NodeProto,
  type TensorProto,
  toNumber,
} from './onnx-schema.ts'

/** Inputs that stay float32 in every precision, by operator: they are sizes and places, not pictures. */
const exact: Record<string, number[]> = { Resize: [1, 2], Upsample: [1] }

const half = (name: string) => `half/${name}`

/**
 * The same model with float16 inside and float32 at its edges: half the memory, and on GPUs with tensor cores twice the
 * speed. Weights and constants are rounded; whether the pictures are still the same is for the caller to see.
 * Throws InputError `half-refused` for a model that can't be turned, else as `checkManifest` does.
 */
export function toHalf(bytes: Uint8Array, manifest: ModelManifest): Uint8Array {
  const model = readModel(bytes)
  const { input, output } = checkManifest(factsOf(model), manifest)
  if (input.type !== 'float32' || output.type !== 'float32') {
    throw refused('its pictures are not float32')
  }
  const nodes = model.graph.node.map(decodeNode)
  if (nodes.some(({ attribute }) => attribute.some(({ type }) => type === attributeTypes.graph))) {
    throw refused('it has graphs inside its graph')
  }
  const kept = new Set(
    nodes.flatMap(({ opType, input: names }) => (exact[opType] ?? []).map((index) => names[index] ?? '')),
  )
  const inside = [input.name, ...(manifest.style ? [manifest.style.name] : []), output.name]
  const rename = (name: string) => (inside.includes(name) ? half(name) : name)
  for (const node of nodes) {
    node.input = node.input.map(rename)
    if (!node.output.some((name) => kept.has(name))) turnNode(node)
    node.output = node.output.map(rename)
  }
  turnInitializers(model, kept)
  const casts = inside.map((name) =>
    name === output.name
      ? cast(half(name), name, elementTypes.float32)
      : cast(name, half(name), elementTypes.float16),
  )
  const { graph } = model
  graph.node = [...casts.slice(0, -1), ...nodes.map(encodeNode), ...casts.slice(-1)]
  graph.valueInfo = []
  return encodeModel(model)
}

/** Constants, and casts to float32, become those of float16. */
function turnNode(node: NodeProto): void {
  const { opType, attribute } = node
  if (opType === 'ConstantOfShape' && attribute.length === 0) throw refused('it fills tensors with a default')
  for (const each of attribute) {
    if (each.t) turnTensor(each.t)
    if (opType === 'Cast' && each.name === 'to' && toNumber(each.i) === elementTypes.float32) {
      each.i = elementTypes.float16
    }
  }
}

function turnInitializers({ graph }: WholeModel, kept: Set<string>): void {
  const turned = new Set<string>()
  graph.initializer = graph.initializer.map((bytes) => {
    const tensor = decodeTensor(bytes)
    if (kept.has(tensor.name ?? '') || !turnTensor(tensor)) return bytes
    turned.add(tensor.name ?? '')
    return encodeTensor(tensor)
  })
  // Before IR 4 they are listed among the inputs, with their type.
  for (const { name, type } of graph.input) {
    if (turned.has(name ?? '') && type?.tensorType) type.tensorType.elemType = elementTypes.float16
  }
}

/** Changed in place: fields that the schema doesn't know stay. Answers whether there was something to turn. */
function turnTensor(tensor: TensorProto): boolean {
  if (tensor.dataType !== elementTypes.float32) return false
  // A copy: raw data may begin anywhere in the file, floats only at a multiple of four.
  const floats = tensor.floatData?.length
    ? Float32Array.from(tensor.floatData)
    : new Float32Array(Uint8Array.from(tensor.rawData).buffer)
  tensor.dataType = elementTypes.float16
  tensor.rawData = new Uint8Array(Float16Array.from(floats).buffer)
  tensor.floatData = []
  return true
}

const cast = (from: string, to: string, type: number) =>
  encodeNode({
    input: [from],
    output: [to],
    name: `half/Cast/${to}`,
    opType: 'Cast',
    attribute: [{ name: 'to', type: attributeTypes.int, i: type }],
  })

const refused = (why: string) =>
  new InputError('half-refused', `The model can't be turned to float16: ${why}.`)
