import { InputError } from '../errors.ts'
import { channelsOf, imageInput, type ImageSpec, type ModelManifest, type ScoresSpec } from './manifest.ts'
import {
  decodeModel,
  decodeNode,
  elementTypes,
  type GraphProto,
  type ModelProto,
  readInitializer,
  toNumber,
  type ValueInfoProto,
} from './onnx-schema.ts'

/** A fixed size, the name of a free one, or null for a free one without a name. */
type Dim = number | string | null

export interface TensorFacts {
  name: string
  /** `float32`, `uint8`, `float16`, or `type 7` for what framefleet has no word for. */
  type: string
  /** null when the graph doesn't even state how many there are. */
  dims: Dim[] | null
}

export interface ModelFacts {
  irVersion: number
  /** Of the default domain; 0 where it has none of its operators. */
  opset: number
  /** Without the initializers, which graphs before IR 4 list among the inputs. */
  inputs: TensorFacts[]
  outputs: TensorFacts[]
  /** What its classifier, one of `ai.onnx.ml`, calls its classes, in order; absent where it has none. */
  classes?: string[]
}

/** The oldest opset whose Add and Mul broadcast as the wrapping needs it. */
const oldestOpset = 7

/**
 * Reads what an ONNX file says of itself; runs nothing and doesn't read the weights.
 * Throws InputError `bad-model` for bytes that are not a whole ONNX model in one file.
 */
export function inspectModel(bytes: Uint8Array): ModelFacts {
  return factsOf(readModel(bytes))
}

/** A model that has a graph and an opset, which is what every use of it needs. */
export type WholeModel = ModelProto & { graph: GraphProto }

/** Decodes a model for reading or changing. Throws as `inspectModel` does. */
export function readModel(bytes: Uint8Array): WholeModel {
  if (bytes.length === 0) throw badModel('the model file is empty')
  const model = decodeOrRefuse(bytes)
  if (!isWhole(model)) throw badModel('the model file is not an ONNX model: it holds no graph')
  return model
}

const isWhole = (model: ModelProto): model is WholeModel =>
  !!model.graph &&
  model.graph.node.length > 0 &&
  toNumber(model.irVersion) >= 1 &&
  model.opsetImport.length > 0

/** What a decoded model says of itself. Throws InputError `bad-model` when its weights lie elsewhere. */
export function factsOf(model: WholeModel): ModelFacts {
  const initializers = model.graph.initializer.map(readInitializer)
  const external = initializers.find((initializer) => initializer.external)
  if (external) {
    throw badModel(
      `the model keeps its weights in another file (${external.name} is external data); save it as one file`,
    )
  }
  const names = new Set(initializers.map((initializer) => initializer.name))
  return {
    irVersion: toNumber(model.irVersion),
    opset: opsetOf(model),
    inputs: model.graph.input.map(tensorFacts).filter((input) => !names.has(input.name)),
    outputs: model.graph.output.map(tensorFacts),
    ...classesOf(model),
  }
}

/**
 * Checks that a graph is what its manifest says, and gives the two tensors that are the images.
 * Throws InputError `model-mismatch` with one sentence for the first thing that differs.
 */
export function checkManifest(
  facts: ModelFacts,
  manifest: ModelManifest,
): { input: TensorFacts; output: TensorFacts } {
  if (facts.opset < oldestOpset) {
    throw mismatch(
      `the model has opset ${facts.opset}; opset ${oldestOpset} is the oldest that can be wrapped`,
    )
  }
  const { style } = manifest
  if (style) checkStyle(facts.inputs, style)
  const images = facts.inputs.filter((tensor) => tensor.name !== style?.name)
  const input = onlyTensor(images, 'input', manifest.input.name)
  if (manifest.scores) {
    scoreTensors(facts, manifest.scores)
    checkTensor(input, imageInput(manifest), 'input')
    checkInputSize(input, manifest)
    return { input, output: input }
  }
  const output = onlyTensor(facts.outputs, 'output', manifest.output.name)
  checkTensor(input, imageInput(manifest), 'input')
  checkTensor(output, manifest.output, 'output')
  checkSize(input, output, manifest)
  return { input, output }
}

/** The tensor that is the image: the only one, or the one that is named. Throws InputError `model-mismatch`. */
export function onlyTensor(
  tensors: TensorFacts[],
  which: 'input' | 'output',
  name: string | undefined,
): TensorFacts {
  const names = tensors.map((tensor) => tensor.name).join(', ')
  // Outputs that nobody asks for can be left out of the graph; an input that nobody feeds cannot.
  const found = tensors.find((tensor) => tensor.name === (name ?? tensors[0]?.name))
  if (found && (tensors.length === 1 || (which === 'output' && name))) return found
  if (tensors.length === 0) throw mismatch(`the model has no ${which}`)
  if (name && !found) throw mismatch(`the manifest names the ${which} "${name}", the model has ${names}`)
  throw mismatch(
    which === 'input'
      ? `the model has ${tensors.length} inputs (${names}); a frame, and a style image that the manifest names, are all it can be given`
      : `the model has ${tensors.length} outputs (${names}); name the image in the manifest's output.name`,
  )
}

/**
 * The outputs that are the scores, and the boxes of a detector, where a model makes no image. Throws InputError
 * `model-mismatch`.
 */
export function scoreTensors({ outputs }: ModelFacts, { task, scores, boxes }: ScoresSpec): TensorFacts[] {
  const wanted = task === 'detection' ? [scores, boxes] : [scores]
  const names = outputs.map((tensor) => tensor.name).join(', ')
  return wanted.map((name) => {
    const found = outputs.find((tensor) => tensor.name === (name ?? outputs[0]?.name))
    if (!found) throw mismatch(`the manifest names the output "${name}", the model has ${names || 'none'}`)
    if (name === undefined && wanted.length * outputs.length > 1)
      throw mismatch(`the model has the outputs ${names}; say in the manifest's scores which is which`)
    if (found.type === 'float32' || found.type === 'int64') return found
    throw mismatch(`the output "${found.name}" is ${found.type}; scores are float32 or int64`)
  })
}

function checkStyle(inputs: TensorFacts[], style: NonNullable<ModelManifest['style']>): void {
  const tensor = inputs.find(({ name }) => name === style.name)
  if (!tensor) {
    const names = inputs.map(({ name }) => name).join(', ')
    throw mismatch(`the manifest names the style input "${style.name}", the model has ${names}`)
  }
  checkTensor(tensor, style, 'input')
  const [height, width] = tensor.dims ? sidesOf(tensor, style.layout) : []
  const says = 'width' in style.size ? style.size : undefined
  const differs = (has: Dim | undefined, said: number | undefined) => typeof has === 'number' && has !== said
  if (differs(height, says?.height) || differs(width, says?.width)) {
    throw mismatch(
      `the style input "${style.name}" is ${shapeOf(tensor)}; give style.size in the manifest as { width, height }`,
    )
  }
}

function checkTensor(tensor: TensorFacts, spec: ImageSpec, which: 'input' | 'output'): void {
  if (tensor.type !== spec.type) {
    const hint = tensor.type === 'float16' ? '; keep float16 inside the graph, with float32 at its edges' : ''
    throw mismatch(`the ${which} "${tensor.name}" is ${tensor.type}, the manifest says ${spec.type}${hint}`)
  }
  // Exporters often leave an output's shape out; there is nothing to disagree with then.
  if (!tensor.dims) return
  if (tensor.dims.length !== 4) {
    throw mismatch(`the ${which} "${tensor.name}" has ${tensor.dims.length} dimensions, an image batch has 4`)
  }
  const [batch] = tensor.dims
  if (typeof batch === 'number' && batch !== 1) {
    throw mismatch(`the ${which} "${tensor.name}" takes ${batch} images at once; the batch must be free or 1`)
  }
  const [channels, elsewhere] =
    spec.layout === 'NCHW' ? [tensor.dims[1], tensor.dims[3]] : [tensor.dims[3], tensor.dims[1]]
  const wanted = channelsOf(spec)
  if (channels !== wanted && elsewhere === wanted) {
    throw mismatch(
      `the ${which} "${tensor.name}" is ${shapeOf(tensor)}, which is not the manifest's layout ${spec.layout}`,
    )
  }
  if (typeof channels === 'number' && channels !== wanted) {
    const hint = channels === 1 ? '; channels "Y" are those of a model of brightness' : ''
    throw mismatch(
      `the ${which} "${tensor.name}" has ${channels} ${channels === 1 ? 'channel' : 'channels'}, ${spec.channels} are ${wanted}${hint}`,
    )
  }
}

const sizeWanted = ({ size }: ModelManifest) =>
  'width' in size ? { width: size.width, height: size.height } : { width: null, height: null }

function checkInputSize(input: TensorFacts, manifest: ModelManifest): void {
  const [height = null, width = null] = input.dims ? sidesOf(input, imageInput(manifest).layout) : []
  const wanted = sizeWanted(manifest)
  for (const [side, has, says] of [
    ['width', width, wanted.width],
    ['height', height, wanted.height],
  ] as const) {
    if (typeof has === 'number' && has !== says) {
      throw mismatch(
        `the input "${input.name}" has the fixed ${side} ${has}, the manifest says ${says ?? 'any size'}; ` +
          'give size as { width, height }',
      )
    }
  }
}

function checkSize(input: TensorFacts, output: TensorFacts, manifest: ModelManifest): void {
  checkInputSize(input, manifest)
  const wanted = sizeWanted(manifest)
  const [outHeight = null, outWidth = null] = output.dims ? sidesOf(output, manifest.output.layout) : []
  for (const [side, from, to] of [
    ['width', wanted.width, outWidth],
    ['height', wanted.height, outHeight],
  ] as const) {
    if (from === null || typeof to !== 'number') continue
    if (Math.abs(from * manifest.output.scale - to) > 1e-6) {
      throw mismatch(
        `the output "${output.name}" has the ${side} ${to}; ${from} times the manifest's scale ` +
          `${manifest.output.scale} is ${from * manifest.output.scale}`,
      )
    }
  }
}

/** Height and width, as far as a tensor's shape states them. */
export const sidesOf = (tensor: TensorFacts, layout: ImageSpec['layout']): Dim[] =>
  (layout === 'NCHW' ? tensor.dims?.slice(2, 4) : tensor.dims?.slice(1, 3)) ?? []

export const shapeOf = (tensor: TensorFacts) => `[${(tensor.dims ?? []).map((dim) => dim ?? '?').join(', ')}]`

function tensorFacts(info: ValueInfoProto): TensorFacts {
  const tensor = info.type?.tensorType
  const known = Object.entries(elementTypes).find(([, number]) => number === tensor?.elemType)
  return {
    name: info.name ?? '',
    type: known?.[0] ?? (tensor ? `type ${tensor.elemType ?? 0}` : noTensor(info)),
    // Some exporters write -1 or 0 for a free dimension.
    dims: tensor?.shape
      ? (tensor.shape.dim ?? []).map((dim) => {
          const size = toNumber(dim.dimValue)
          return size > 0 ? size : dim.dimParam || null
        })
      : null,
  }
}

const noTensor = ({ type }: ValueInfoProto) => {
  if (type?.sequenceType) return 'a sequence'
  return type?.mapType ? 'a map' : 'not a tensor'
}

/** Only models that say they use these operators are looked through for them. */
const trained = 'ai.onnx.ml'

function classesOf({ graph, opsetImport }: WholeModel): Pick<ModelFacts, 'classes'> {
  if (!opsetImport.some(({ domain }) => domain === trained)) return {}
  const classifiers = graph.node.map(decodeNode).filter((node) => {
    return node.domain === trained && node.opType.endsWith('Classifier')
  })
  const [first, other] = classifiers
  if (!first || other) return {}
  for (const { name, strings = [], ints = [] } of first.attribute) {
    if (!/^class(?:labels|es)_/.test(name)) continue
    const labels =
      strings.length > 0
        ? strings.map((each) => Buffer.from(each).toString('utf8'))
        : ints.map((each) => String(toNumber(each)))
    if (labels.length > 0) return { classes: labels }
  }
  return {}
}

function decodeOrRefuse(bytes: Uint8Array): ModelProto {
  try {
    return decodeModel(bytes)
  } catch (cause) {
    throw badModel('the model file is not an ONNX model, or only a part of one', cause)
  }
}

const opsetOf = (model: ModelProto): number =>
  toNumber(model.opsetImport.find(({ domain }) => !domain || domain === 'ai.onnx')?.version)

const sentence = (text: string) => `${text[0]?.toUpperCase()}${text.slice(1)}.`
const mismatch = (text: string) => new InputError('model-mismatch', sentence(text))
const badModel = (text: string, cause?: unknown) => new InputError('bad-model', sentence(text), { cause })
