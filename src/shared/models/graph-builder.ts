import {
  type AttributeProto,
  attributeTypes,
  type DimProto,
  elementTypes,
  encodeNode,
  type TensorProto,
  type ValueInfoProto,
} from './onnx-schema.ts'

/** What an attribute can be given as: whole numbers become INT, others must say `float(x)`, arrays become INTS. */
export type AttributeValue =
  | number
  | string
  | number[]
  | TensorProto
  | { float: number }
  /** Of a loop's body, encoded. */
  | { graph: Uint8Array }

/** ONNX keeps apart 1 (an integer) and 1.0 (a float), JavaScript doesn't. */
export const float = (value: number) => ({ float: value })

/**
 * Writes nodes one after the other, each with one output, named `<prefix><number>`. `take()` gives those written
 * since the last one, encoded, in order. The numbering depends on nothing but the calls, so that the same calls
 * give the same bytes.
 */
export function createGraphBuilder(prefix: string) {
  let nodes: Uint8Array[] = []
  let count = 0

  /** Adds a node and gives the name of its output, which may be chosen; outputs before that one are `unread`. */
  function add(
    opType: string,
    input: string[],
    attributes: Record<string, AttributeValue> = {},
    output = `${prefix}${count}`,
    unread: string[] = [],
  ): string {
    const attribute = Object.entries(attributes).map(([name, value]) => encodeAttribute(name, value))
    nodes.push(
      encodeNode({
        input,
        output: [...unread, output],
        name: `${prefix}${opType}/${count}`,
        opType,
        attribute,
      }),
    )
    count += 1
    return output
  }

  // Constants are nodes, not initializers: before IR 4 an initializer had to be a graph input as well.
  const constant = (value: TensorProto) => add('Constant', [], { value })

  return {
    add,
    /** A float32 constant; without `dims` a scalar, or a vector when there are several values. */
    floats: (values: number[], dims = values.length === 1 ? [] : [values.length]) =>
      constant(tensor(elementTypes.float32, dims, new Uint8Array(Float32Array.from(values).buffer))),
    /** An int64 vector. */
    ints: (values: number[]) =>
      constant(
        tensor(
          elementTypes.int64,
          [values.length],
          new Uint8Array(BigInt64Array.from(values, BigInt).buffer),
        ),
      ),
    /** A uint8 constant. */
    bytes: (values: Uint8Array, dims: number[]) => constant(tensor(elementTypes.uint8, dims, values)),
    /** A scalar that is true. */
    truth: () => constant(tensor(elementTypes.bool, [], Uint8Array.of(1))),
    /** Puts nodes that were taken back in front. */
    give(taken: Uint8Array[]): void {
      nodes = [...taken, ...nodes]
    },
    take(): Uint8Array[] {
      const taken = nodes
      nodes = []
      return taken
    },
  }
}
export type GraphBuilder = ReturnType<typeof createGraphBuilder>

/** A graph's input or output. A string names a dimension that is free. */
export function imageValue(name: string, elemType: number, dims: (number | string)[]): ValueInfoProto {
  const dim = dims.map((size): DimProto =>
    typeof size === 'number' ? { dimValue: size } : { dimParam: size },
  )
  return { name, type: { tensorType: { elemType, shape: { dim } } } }
}

// Typed arrays are little-endian on every machine Node runs on today, and so is ONNX's raw data.
const tensor = (dataType: number, dims: number[], rawData: Uint8Array): TensorProto => ({
  dims,
  dataType,
  rawData,
})

function encodeAttribute(name: string, value: AttributeValue): AttributeProto {
  if (typeof value === 'number') return { name, type: attributeTypes.int, i: value }
  if (typeof value === 'string')
    return { name, type: attributeTypes.string, s: new TextEncoder().encode(value) }
  if (Array.isArray(value)) return { name, type: attributeTypes.ints, ints: value }
  if ('float' in value) return { name, type: attributeTypes.float, f: value.float }
  if ('graph' in value) return { name, type: attributeTypes.graph, g: value.graph }
  return { name, type: attributeTypes.tensor, t: value }
}
