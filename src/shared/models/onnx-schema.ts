import protobuf from 'protobufjs'

/**
 * As much of ONNX as framefleet touches: the model's versions, the graph's edges, and what it takes to write a
 * node. Everything else stays opaque. Nodes and initializers are declared as `bytes`, which is the same thing
 * on the wire as a message, so they are copied through byte for byte and hundreds of megabytes of weights are
 * never parsed. Fields not listed here travel in protobufjs's `$unknowns`, which is not enumerable: change a
 * decoded message in place, since a copy by spreading would lose, say, a model's functions.
 */
type FieldSpec = [type: string, id: number, repeated?: 'repeated']

const messages: Record<string, Record<string, FieldSpec>> = {
  Model: {
    irVersion: ['int64', 1],
    graph: ['Graph', 7],
    opsetImport: ['Opset', 8, 'repeated'],
  },
  Opset: { domain: ['string', 1], version: ['int64', 2] },
  Graph: {
    node: ['bytes', 1, 'repeated'],
    name: ['string', 2],
    initializer: ['bytes', 5, 'repeated'],
    input: ['ValueInfo', 11, 'repeated'],
    output: ['ValueInfo', 12, 'repeated'],
    valueInfo: ['bytes', 13, 'repeated'],
  },
  ValueInfo: { name: ['string', 1], type: ['Type', 2] },
  Type: { tensorType: ['TensorType', 1], sequenceType: ['bytes', 4], mapType: ['bytes', 5] },
  TensorType: { elemType: ['int32', 1], shape: ['Shape', 2] },
  Shape: { dim: ['Dim', 1, 'repeated'] },
  Dim: { dimValue: ['int64', 1], dimParam: ['string', 2] },
  Node: {
    input: ['string', 1, 'repeated'],
    output: ['string', 2, 'repeated'],
    name: ['string', 3],
    opType: ['string', 4],
    attribute: ['Attribute', 5, 'repeated'],
    domain: ['string', 7],
  },
  Attribute: {
    name: ['string', 1],
    f: ['float', 2],
    i: ['int64', 3],
    s: ['bytes', 4],
    t: ['Tensor', 5],
    g: ['bytes', 6],
    floats: ['float', 7, 'repeated'],
    ints: ['int64', 8, 'repeated'],
    strings: ['bytes', 9, 'repeated'],
    type: ['int32', 20],
  },
  Tensor: {
    dims: ['int64', 1, 'repeated'],
    dataType: ['int32', 2],
    floatData: ['float', 4, 'repeated'],
    name: ['string', 8],
    rawData: ['bytes', 9],
  },
  TensorHeader: { name: ['string', 8], dataLocation: ['int32', 14] },
}

/** ONNX's numbers for the element types framefleet names. */
export const elementTypes = {
  float32: 1,
  uint8: 2,
  int64: 7,
  string: 8,
  bool: 9,
  float16: 10,
  float64: 11,
} as const

/** ONNX's numbers for the kinds of attribute framefleet writes. */
export const attributeTypes = {
  float: 1,
  int: 2,
  string: 3,
  tensor: 4,
  graph: 5,
  floats: 6,
  ints: 7,
  strings: 8,
} as const

/** protobufjs gives 64-bit integers as Long objects and takes plain numbers. */
export type Int64 = number | { toNumber(): number }

export interface DimProto {
  dimValue?: Int64
  dimParam?: string
}
export interface ValueInfoProto {
  name?: string
  type?: {
    tensorType?: { elemType?: number; shape?: { dim?: DimProto[] } }
    sequenceType?: Uint8Array
    mapType?: Uint8Array
  }
}
export interface GraphProto {
  node: Uint8Array[]
  name?: string
  initializer: Uint8Array[]
  input: ValueInfoProto[]
  output: ValueInfoProto[]
  valueInfo: Uint8Array[]
}
export interface ModelProto {
  irVersion?: Int64
  graph?: GraphProto
  opsetImport: { domain?: string; version?: Int64 }[]
}
export interface TensorProto {
  dims: Int64[]
  dataType: number
  name?: string
  rawData: Uint8Array
  floatData?: number[]
}
export interface AttributeProto {
  name: string
  type: number
  f?: number
  i?: Int64
  s?: Uint8Array
  t?: TensorProto
  /** An encoded graph. */
  g?: Uint8Array
  floats?: number[]
  ints?: Int64[]
  strings?: Uint8Array[]
}
export interface NodeProto {
  input: string[]
  output: string[]
  name: string
  opType: string
  /** Of operators that are not ONNX's own, such as `ai.onnx.ml`. */
  domain?: string
  attribute: AttributeProto[]
}

const root = protobuf.Root.fromJSON({
  nested: Object.fromEntries(
    Object.entries(messages).map(([name, fields]) => [
      name,
      {
        // onnx.proto is proto2. Under proto3's rules, protobufjs's default here, an attribute that is 0 is left out.
        edition: 'proto2',
        fields: Object.fromEntries(
          Object.entries(fields).map(([field, [type, id, rule]]) => [
            field,
            rule ? { type, id, rule } : { type, id },
          ]),
        ),
      },
    ]),
  ),
})
const Model = root.lookupType('Model')
const Graph = root.lookupType('Graph')
const Node = root.lookupType('Node')
const Tensor = root.lookupType('Tensor')
const TensorHeader = root.lookupType('TensorHeader')

/**
 * Reads an ONNX file; what is not in the schema is kept for `encodeModel`.
 * Throws protobufjs's own error for bytes that are not protobuf.
 */
export function decodeModel(bytes: Uint8Array): ModelProto {
  return Model.decode(readerOf(bytes)) as unknown as ModelProto
}

function readerOf(bytes: Uint8Array): protobuf.Reader {
  const reader = protobuf.Reader.create(bytes)
  // The default drops what the schema doesn't list, which here would be functions, metadata, producer, domain, …
  reader.discardUnknown = false
  return reader
}

/** Writes an ONNX file. The same message gives the same bytes. */
export function encodeModel(model: ModelProto): Uint8Array {
  return Model.encode(model).finish()
}

/** A graph inside a node's attribute. */
export function encodeGraph(graph: GraphProto): Uint8Array {
  return Graph.encode(graph).finish()
}

/** One node as the opaque bytes that `GraphProto.node` holds. */
export function encodeNode(node: NodeProto): Uint8Array {
  return Node.encode(node).finish()
}

/** One of `GraphProto.node`, to be changed in place. */
export function decodeNode(bytes: Uint8Array): NodeProto {
  return Node.decode(readerOf(bytes)) as unknown as NodeProto
}

/** One of `GraphProto.initializer`, to be changed in place. */
export function decodeTensor(bytes: Uint8Array): TensorProto {
  return Tensor.decode(readerOf(bytes)) as unknown as TensorProto
}

export function encodeTensor(tensor: TensorProto): Uint8Array {
  return Tensor.encode(tensor).finish()
}

/** The name of an initializer, and whether its data lies in another file; its data is skipped, not read. */
export function readInitializer(bytes: Uint8Array): { name: string; external: boolean } {
  const header = TensorHeader.decode(bytes) as unknown as { name: string; dataLocation: number }
  return { name: header.name, external: header.dataLocation === 1 }
}

export function toNumber(value: Int64 | undefined): number {
  return typeof value === 'object' ? value.toNumber() : (value ?? 0)
}
