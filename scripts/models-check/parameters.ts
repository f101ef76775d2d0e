import protobuf from 'protobufjs'
import { readModel } from '../../src/shared/models/inspect.ts'
import { type Int64, toNumber } from '../../src/shared/models/onnx-schema.ts'

// Of ONNX no more than what counting takes; the numbers are onnx.proto's.
const { root } = protobuf.parse(`
  syntax = "proto2";
  message Tensor { repeated int64 dims = 1; optional int32 type = 2; optional string name = 8; }
  message Attribute { optional string name = 1; optional Tensor t = 5; }
  message Node { repeated string input = 1; repeated string output = 2; optional string op = 4; repeated Attribute attribute = 5; }
`)
const Tensor = root.lookupType('Tensor')
const Node = root.lookupType('Node')

interface TensorHeader {
  dims: Int64[]
  type: number
  name: string
}
interface NodeHeader {
  input: string[]
  output: string[]
  op: string
  attribute: { name: string; t?: TensorHeader }[]
}

/** ONNX's numbers for int32, int64 and bool, which hold shapes and switches, not weights. */
const notWeights = [6, 7, 9]

/**
 * The trained numbers of an ONNX file: the elements of its initializers and constants, without scalars and what
 * only says how large something is to become. Throws InputError `bad-model` for what is not a whole ONNX model.
 */
export function countParameters(bytes: Uint8Array): number {
  const { graph } = readModel(bytes)
  const nodes = graph.node.map((node) => Node.decode(node) as unknown as NodeHeader)
  const initializers = graph.initializer.map((tensor) => Tensor.decode(tensor) as unknown as TensorHeader)
  const constants = nodes
    .filter(({ op }) => op === 'Constant')
    .flatMap(({ output, attribute }) =>
      attribute.flatMap(({ t }) => (t ? [{ dims: t.dims, type: t.type, name: output[0] ?? '' }] : [])),
    )
  const factors = new Set(nodes.filter(({ op }) => op === 'Resize').flatMap(({ input }) => input.slice(1)))
  return [...initializers, ...constants]
    .filter(({ dims, type, name }) => dims.length > 0 && !notWeights.includes(type) && !factors.has(name))
    .reduce((sum, { dims }) => sum + dims.reduce<number>((product, dim) => product * toNumber(dim), 1), 0)
}
