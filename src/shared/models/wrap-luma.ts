import { InputError } from '../errors.ts'
import type { Size } from './fit.ts'
import { type ImageSpec, channelsOf } from './manifest.ts'
import { elementTypes } from './onnx-schema.ts'
import {
  affine,
  clip,
  fromBytes,
  fromFrames,
  slice,
  type Target,
  toFrames,
  type Write,
} from './wrap-steps.ts'

/**
 * Models of one channel see how bright a picture is, and not its colours. Where one gives such a picture back, larger perhaps, the colours are
 * the source's, brought to its size:
 *
 *   uint8 RGB ─┬─► luma ─► MODEL ─► luma' ─┬─► RGB + (luma' - luma of it) ─► uint8 RGB
 *              └─► enlarged ───────────────┘
 *
 * which is what comes of going to YCbCr, keeping Cb and Cr, and back, without rounding in between.
 */

/** Red, green and blue of ITU-R BT.601, as in JPEG: the YCbCr that such models are trained on. */
const weights = [0.299, 0.587, 0.114]

/** uint8 RGB NHWC ─► what a model's tensor is to be. */
export function intoModel(target: Target, spec: ImageSpec): Write[] {
  if (channelsOf(spec) !== 1) return fromFrames(target, spec)
  const { graph } = target
  const steps: Write[] = [(x, out) => luma(target, floatsOf(target, x), out)]
  if (spec.layout === 'NCHW') steps.push((x, out) => graph.add('Transpose', [x], { perm: [0, 3, 1, 2] }, out))
  if (spec.type === 'uint8') {
    steps.push(...affine(graph, spec, [1], [0.5]))
    steps.push((x, out) => graph.add('Cast', [x], { to: elementTypes.uint8 }, out))
    return steps
  }
  const { scale, offset } = fromBytes(spec.range)
  return [...steps, ...affine(graph, spec, scale, offset)]
}

/**
 * What a model gives ─► uint8 RGB NHWC. `frames` names the tensor that the model's input was made of, of the size `frame`. Throws
 * InputError `model-refuses-size` for luma that is larger by no whole number.
 */
export function outOfModel(
  target: Target,
  spec: ImageSpec & { scale: number },
  { frames, frame }: { frames: string; frame: Size },
): Write[] {
  if (channelsOf(spec) !== 1) return toFrames(target, spec)
  if (!Number.isInteger(spec.scale))
    throw new InputError(
      'model-refuses-size',
      `A model of one channel must scale by a whole number, not ${spec.scale}.`,
    )
  const { graph } = target
  const { scale, offset } = fromBytes(spec.type === 'uint8' ? '0..255' : spec.range)
  const steps: Write[] = []
  if (spec.type === 'uint8') steps.push((x, out) => graph.add('Cast', [x], { to: elementTypes.float32 }, out))
  steps.push(
    // With a half, so that the cast to bytes rounds.
    ...affine(
      graph,
      spec,
      scale.map((value) => 1 / value),
      offset.map((value, i) => 0.5 - value / (scale[i] ?? 1)),
    ),
  )
  if (spec.layout === 'NCHW') steps.push((x, out) => graph.add('Transpose', [x], { perm: [0, 2, 3, 1] }, out))
  steps.push((x, out) => {
    const colours = enlarge(target, floatsOf(target, frames), frame, spec.scale)
    return graph.add('Add', [colours, graph.add('Sub', [x, luma(target, colours)])], {}, out)
  })
  return [...steps, ...clip(target)]
}

const floatsOf = ({ graph }: Target, x: string) => graph.add('Cast', [x], { to: elementTypes.float32 })

/** [N, H, W, 3] ─► [N, H, W, 1]. */
const luma = ({ graph }: Target, x: string, out?: string) =>
  graph.add('MatMul', [x, graph.floats(weights, [3, 1])], {}, out)

/**
 * [N, H, W, 3] ─► [N, H * by, W * by, 3], linearly between the middles of pixels. Resize means something else in each opset before
 * 11; a transposed convolution is the same in all.
 */
function enlarge(target: Target, x: string, { width, height }: Size, by: number): string {
  if (by === 1) return x
  const { graph, opset } = target
  const planes = graph.add('Transpose', [x], { perm: [0, 3, 1, 2] })
  const pads = [0, 0, 1, 1, 0, 0, 1, 1]
  const padded =
    opset < 11
      ? graph.add('Pad', [planes], { mode: 'edge', pads })
      : graph.add('Pad', [planes, graph.ints(pads)], { mode: 'edge' })
  // How much of the pixel at 0 the enlarged one at `at` has, of those that have some.
  const first = Math.floor(-(by + 1) / 2) + 1
  const line: number[] = []
  for (let at = first; at < (3 * by - 1) / 2; at++) line.push(1 - Math.abs((at + 0.5) / by - 0.5))
  const kernel = line.flatMap((down) => line.map((across) => down * across))
  const filter = graph.floats([...kernel, ...kernel, ...kernel], [3, 1, line.length, line.length])
  const wide = graph.add('ConvTranspose', [padded, filter], { group: 3, strides: [by, by] })
  const from = by - first
  const whole = slice(target, [
    { axis: 2, from, to: from + height * by },
    { axis: 3, from, to: from + width * by },
  ])(wide)
  return graph.add('Transpose', [whole], { perm: [0, 2, 3, 1] })
}
