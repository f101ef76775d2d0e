import { InputError } from '../errors.ts'
import { createGraphBuilder, float, type GraphBuilder, imageValue } from './graph-builder.ts'
import { checkManifest, factsOf, readModel } from './inspect.ts'
import type { ImageSpec, ModelManifest, ValueRange } from './manifest.ts'
import { elementTypes, encodeModel } from './onnx-schema.ts'

/** The one size of a wrapped model: `batch` frames of `width` by `height` pixels a run. */
export interface FrameShape {
  width: number
  height: number
  batch: number
}

interface Target {
  graph: GraphBuilder
  opset: number
}

/** Writes one step that reads the tensor `x`; gives the name of what it wrote, which may be chosen. */
type Write = (x: string, output?: string) => string

/**
 * Puts a model between bytes: the result takes uint8 RGB [batch, height, width, 3] and gives uint8 RGB
 * [batch, height * scale, width * scale, 3], all shapes fixed, so that no pixel is touched in JavaScript:
 *
 *   uint8 NHWC ─► NCHW ─► BGR ─► float ─► range ─► pad ─► MODEL ─► crop ─► range ─► round ─► RGB ─► NHWC ─► uint8 NHWC
 *
 * A step that has nothing to do is left out; a uint8 NHWC model only gets its shapes fixed. The same arguments give
 * the same bytes. It has one input and one output; their names are the model's own where nothing was put in between.
 *
 * Throws InputError: `bad-model` and `model-mismatch` as `inspectModel` and `checkManifest` do, `model-refuses-size`
 * for a frame that is not of the model's one size, or that its scale doesn't divide.
 */
export function wrapModel(bytes: Uint8Array, manifest: ModelManifest, frame: FrameShape): Uint8Array {
  const model = readModel(bytes)
  const facts = factsOf(model)
  const { input, output } = checkManifest(facts, manifest)
  if (frame.batch > 1 && [input, output].some((tensor) => tensor.dims?.[0] === 1)) {
    throw refusal(`the model takes one frame at a time, not ${frame.batch}`)
  }
  const padding = paddingFor(manifest, frame)
  const scaled = (width: number, height: number): FrameShape => ({
    ...scaledSize(manifest, { width, height }),
    batch: frame.batch,
  })
  const outputShape = scaled(frame.width, frame.height)
  const uncropped = padding.any && scaled(frame.width + padding.right, frame.height + padding.bottom)

  const target: Target = { graph: createGraphBuilder('framefleet/'), opset: facts.opset }
  const before = writeBefore(target, input.name, manifest.input, frame, padding)
  const source = before.length > 0 ? framesIn : input.name
  const after = writeAfter(target, output.name, manifest.output, outputShape, uncropped)
  const result = after.length > 0 ? framesOut : output.name

  // Changed in place: a copy by spreading would lose the fields that the schema doesn't know.
  const { graph } = model
  graph.node = [...before, ...graph.node, ...after]
  // Before IR 4 the initializers are listed here too, and have to stay.
  graph.input = graph.input.map((info) => (info.name === input.name ? frames(source, frame) : info))
  graph.output = [frames(result, outputShape)]
  // Intermediate shapes that an exporter wrote down are those of its own example size.
  graph.valueInfo = []
  return encodeModel(model)
}

/** The output's size for a frame of this size, in pixels. Throws InputError `model-refuses-size`. */
export function scaledSize(
  manifest: ModelManifest,
  frame: { width: number; height: number },
): { width: number; height: number } {
  const { scale } = manifest.output
  const { right, bottom } = paddingFor(manifest, frame)
  for (const padded of [frame.width + right, frame.height + bottom]) {
    if (Math.abs(padded * scale - Math.round(padded * scale)) > 1e-6) {
      throw refusal(
        `${padded} pixels times the model's scale ${scale} is not a whole number; give size.multipleOf in model.json`,
      )
    }
  }
  const scaled = (pixels: number) => Math.max(1, Math.round(pixels * scale))
  return { width: scaled(frame.width), height: scaled(frame.height) }
}

interface Padding {
  right: number
  bottom: number
  any: boolean
}

const framesIn = 'framefleet/frames'
const framesOut = 'framefleet/scored'
const frames = (name: string, { batch, height, width }: FrameShape) =>
  imageValue(name, elementTypes.uint8, [batch, height, width, 3])

function writeBefore(
  { graph, opset }: Target,
  result: string,
  spec: ImageSpec,
  frame: FrameShape,
  padding: Padding,
): Uint8Array[] {
  const steps: Write[] = []
  const isFloat = spec.type === 'float32'
  // While the pixels are bytes they are a quarter of the memory to move, so the type changes after the layout.
  if (spec.layout === 'NCHW') steps.push((x, out) => graph.add('Transpose', [x], { perm: [0, 3, 1, 2] }, out))
  if (spec.channels === 'BGR') steps.push((x, out) => swapChannels(graph, x, spec, out))
  if (isFloat) steps.push((x, out) => graph.add('Cast', [x], { to: elementTypes.float32 }, out))
  if (isFloat) {
    const { scale, offset } = fromBytes(spec.range)
    steps.push(...affine(graph, spec, scale, offset))
  }
  if (padding.any) {
    // Pad takes nothing but floats before opset 11.
    const detour = !isFloat && opset < 11
    if (detour) steps.push((x, out) => graph.add('Cast', [x], { to: elementTypes.float32 }, out))
    steps.push((x, out) => pad({ graph, opset }, x, spec, frame, padding, out))
    if (detour) steps.push((x, out) => graph.add('Cast', [x], { to: elementTypes.uint8 }, out))
  }
  chain(steps, framesIn, result)
  return graph.take()
}

function writeAfter(
  { graph, opset }: Target,
  source: string,
  spec: ImageSpec,
  shape: FrameShape,
  uncropped: FrameShape | false,
): Uint8Array[] {
  const steps: Write[] = []
  if (uncropped) {
    const { batch, height, width } = uncropped
    const whole = spec.layout === 'NCHW' ? [batch, 3, height, width] : [batch, height, width, 3]
    // Changes nothing, but fails for a model that is not of the size it says, which the crop would hide.
    steps.push((x, out) => graph.add('Reshape', [x, graph.ints(whole)], {}, out))
    const axes = spec.layout === 'NCHW' ? [2, 3] : [1, 2]
    const ends = [shape.height, shape.width]
    steps.push((x, out) =>
      opset < 10
        ? graph.add('Slice', [x], { starts: [0, 0], ends, axes }, out)
        : graph.add('Slice', [x, graph.ints([0, 0]), graph.ints(ends), graph.ints(axes)], {}, out),
    )
  }
  if (spec.type === 'float32') {
    const { scale, offset } = fromBytes(spec.range)
    // Adding a half here makes the cast below, which cuts the fraction off, round.
    const half = offset.map((value, channel) => 0.5 - value / (scale[channel] ?? 1))
    const inverse = scale.map((value) => 1 / value)
    steps.push(...affine(graph, spec, inverse, half))
    steps.push((x, out) =>
      opset < 11
        ? graph.add('Clip', [x], { min: float(0), max: float(255) }, out)
        : graph.add('Clip', [x, graph.floats([0]), graph.floats([255])], {}, out),
    )
    steps.push((x, out) => graph.add('Cast', [x], { to: elementTypes.uint8 }, out))
  }
  if (spec.channels === 'BGR') steps.push((x, out) => swapChannels(graph, x, spec, out))
  if (spec.layout === 'NCHW') steps.push((x, out) => graph.add('Transpose', [x], { perm: [0, 2, 3, 1] }, out))
  chain(steps, source, framesOut)
  return graph.take()
}

/** Each step reads what the one before it wrote; the last one writes the tensor that is waited for. */
function chain(steps: Write[], source: string, result: string): void {
  steps.reduce((x, step, index) => step(x, index === steps.length - 1 ? result : undefined), source)
}

const swapChannels = (graph: GraphBuilder, x: string, spec: ImageSpec, out?: string) =>
  graph.add('Gather', [x, graph.ints([2, 1, 0])], { axis: spec.layout === 'NCHW' ? 1 : 3 }, out)

/** x * scale + offset, of each channel, without what changes nothing. */
function affine(graph: GraphBuilder, spec: ImageSpec, scale: number[], offset: number[]) {
  const constant = (values: number[]) =>
    values.every((value) => value === values[0])
      ? graph.floats(values.slice(0, 1))
      : graph.floats(values, spec.layout === 'NCHW' ? [1, 3, 1, 1] : [1, 1, 1, 3])
  const steps: Write[] = []
  const changes = (values: number[], neutral: number) => values.some((value) => value !== neutral)
  if (changes(scale, 1)) steps.push((x, out) => graph.add('Mul', [x, constant(scale)], {}, out))
  if (changes(offset, 0)) steps.push((x, out) => graph.add('Add', [x, constant(offset)], {}, out))
  return steps
}

/** What turns a byte into a value of this range, for each of the three channels. */
function fromBytes(range: ValueRange): { scale: number[]; offset: number[] } {
  const same = (scale: number, offset: number) => ({
    scale: Array(3).fill(scale),
    offset: Array(3).fill(offset),
  })
  if (range === '0..255') return same(1, 0)
  if (range === '0..1') return same(1 / 255, 0)
  if (range === '-1..1') return same(2 / 255, -1)
  return {
    scale: range.std.map((std) => 1 / (255 * std)),
    offset: range.mean.map((mean, channel) => -mean / (range.std[channel] ?? 1)),
  }
}

function pad(
  { graph, opset }: Target,
  x: string,
  spec: ImageSpec,
  frame: FrameShape,
  { right, bottom }: Padding,
  out?: string,
): string {
  // A reflection leaves out the edge pixel, so there are only size - 1 pixels to reflect.
  const mode = right < frame.width && bottom < frame.height ? 'reflect' : 'edge'
  const pads = spec.layout === 'NCHW' ? [0, 0, 0, 0, 0, 0, bottom, right] : [0, 0, 0, 0, 0, bottom, right, 0]
  return opset < 11
    ? graph.add('Pad', [x], { mode, pads }, out)
    : graph.add('Pad', [x, graph.ints(pads)], { mode }, out)
}

function paddingFor({ size }: ModelManifest, frame: { width: number; height: number }): Padding {
  if ('width' in size) {
    if (size.width !== frame.width || size.height !== frame.height) {
      throw refusal(
        `the model takes ${size.width}x${size.height} only, the frame is ${frame.width}x${frame.height}`,
      )
    }
    return { right: 0, bottom: 0, any: false }
  }
  const upTo = (pixels: number) => (size.multipleOf - (pixels % size.multipleOf)) % size.multipleOf
  const [right, bottom] = [upTo(frame.width), upTo(frame.height)]
  return { right, bottom, any: right + bottom > 0 }
}

const refusal = (text: string) =>
  new InputError('model-refuses-size', `${text[0]?.toUpperCase()}${text.slice(1)}.`)
