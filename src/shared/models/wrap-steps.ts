import type { Size } from './fit.ts'
import { float, type GraphBuilder } from './graph-builder.ts'
import type { ImageSpec, ValueRange } from './manifest.ts'
import { elementTypes } from './onnx-schema.ts'

/** The graph that is being written, and the opset it must be written in. */
export type Target = { graph: GraphBuilder; opset: number }

/** Writes one step that reads the tensor `x`; gives the name of what it wrote, which may be chosen. */
export type Write = (x: string, output?: string) => string

/** Each step reads what the one before it wrote; the last one writes `result`. Without steps nothing is written. */
export function chain(steps: Write[], source: string, result: string): void {
  steps.reduce((x, step, index) => step(x, index === steps.length - 1 ? result : undefined), source)
}

/** uint8 RGB NHWC ─► what a tensor's spec says. */
export function fromFrames({ graph }: Target, spec: ImageSpec): Write[] {
  const steps: Write[] = []
  // While the pixels are bytes they are a quarter of the memory to move, so the type changes after the layout.
  if (spec.layout === 'NCHW') steps.push((x, out) => graph.add('Transpose', [x], { perm: [0, 3, 1, 2] }, out))
  if (spec.channels === 'BGR') steps.push((x, out) => swapChannels(graph, x, spec, out))
  if (spec.type === 'float32') {
    const { scale, offset } = fromBytes(spec.range)
    steps.push((x, out) => graph.add('Cast', [x], { to: elementTypes.float32 }, out))
    steps.push(...affine(graph, spec, scale, offset))
  }
  return steps
}

/** What a tensor's spec says ─► uint8 RGB NHWC, rounded and clipped. */
export function toFrames({ graph, opset }: Target, spec: ImageSpec): Write[] {
  const steps: Write[] = []
  if (spec.type === 'float32') {
    const { scale, offset } = fromBytes(spec.range)
    // Adding a half here makes the cast below, which cuts the fraction off, round.
    const half = offset.map((value, channel) => 0.5 - value / (scale[channel] ?? 1))
    const inverse = scale.map((value) => 1 / value)
    steps.push(...affine(graph, spec, inverse, half), ...clip({ graph, opset }))
  }
  if (spec.channels === 'BGR') steps.push((x, out) => swapChannels(graph, x, spec, out))
  if (spec.layout === 'NCHW') steps.push((x, out) => graph.add('Transpose', [x], { perm: [0, 2, 3, 1] }, out))
  return steps
}

/** Floats ─► bytes, without their fractions. */
export const clip = ({ graph, opset }: Target): Write[] => [
  (x, out) =>
    opset < 11
      ? graph.add('Clip', [x], { min: float(0), max: float(255) }, out)
      : graph.add('Clip', [x, graph.floats([0]), graph.floats([255])], {}, out),
  (x, out) => graph.add('Cast', [x], { to: elementTypes.uint8 }, out),
]

/** A frame's right and bottom, filled by reflection up to a size; nothing for a frame that is of that size. */
export function padTo(
  { graph, opset }: Target,
  { layout, type }: Pick<ImageSpec, 'layout' | 'type'>,
  frame: Size,
  padded: Size,
): Write[] {
  const [right, bottom] = [padded.width - frame.width, padded.height - frame.height]
  if (right === 0 && bottom === 0) return []
  // A reflection leaves out the edge pixel, so there are only size - 1 pixels to reflect.
  const mode = right < frame.width && bottom < frame.height ? 'reflect' : 'edge'
  const pads = layout === 'NCHW' ? [0, 0, 0, 0, 0, 0, bottom, right] : [0, 0, 0, 0, 0, bottom, right, 0]
  const pad: Write = (x, out) =>
    opset < 11
      ? graph.add('Pad', [x], { mode, pads }, out)
      : graph.add('Pad', [x, graph.ints(pads)], { mode }, out)
  // Pad takes nothing but floats before opset 11.
  if (type === 'float32' || opset >= 11) return [pad]
  return [
    (x, out) => graph.add('Cast', [x], { to: elementTypes.float32 }, out),
    pad,
    (x, out) => graph.add('Cast', [x], { to: elementTypes.uint8 }, out),
  ]
}

/** The upper left part of pictures of the size `whole`; nothing when that is all of them. */
export function cropTo(
  target: Target,
  { layout, channels }: { layout: ImageSpec['layout']; channels: number },
  whole: Size & { batch: number },
  output: Size,
): Write[] {
  const { batch, width, height } = whole
  if (width === output.width && height === output.height) return []
  const dims = layout === 'NCHW' ? [batch, channels, height, width] : [batch, height, width, channels]
  const [y, x] = layout === 'NCHW' ? [2, 3] : [1, 2]
  return [
    // Changes nothing, but fails for a model that is not of the size it says, which the crop would hide.
    (from, out) => target.graph.add('Reshape', [from, target.graph.ints(dims)], {}, out),
    slice(target, [
      { axis: y, from: 0, to: output.height },
      { axis: x, from: 0, to: output.width },
    ]),
  ]
}

/** Parts of some axes of a tensor. */
export function slice({ graph, opset }: Target, parts: { axis: number; from: number; to: number }[]): Write {
  const [starts, ends, axes] = [
    parts.map(({ from }) => from),
    parts.map(({ to }) => to),
    parts.map(({ axis }) => axis),
  ]
  return (x, out) =>
    opset < 10
      ? graph.add('Slice', [x], { starts, ends, axes }, out)
      : graph.add('Slice', [x, graph.ints(starts), graph.ints(ends), graph.ints(axes)], {}, out)
}

const swapChannels = (graph: GraphBuilder, x: string, spec: ImageSpec, out?: string) =>
  graph.add('Gather', [x, graph.ints([2, 1, 0])], { axis: spec.layout === 'NCHW' ? 1 : 3 }, out)

/** x * scale + offset, of each channel, without what changes nothing. */
export function affine(
  graph: GraphBuilder,
  spec: Pick<ImageSpec, 'layout'>,
  scale: number[],
  offset: number[],
): Write[] {
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
export function fromBytes(range: ValueRange): { scale: number[]; offset: number[] } {
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
