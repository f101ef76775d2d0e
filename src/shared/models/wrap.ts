import { InputError } from '../errors.ts'
import { type Framing, frameThrough, type Tiles } from './fit.ts'
import { createGraphBuilder, imageValue } from './graph-builder.ts'
import { checkManifest, factsOf, readModel, scoreTensors, type WholeModel } from './inspect.ts'
import { channelsOf, imageInput, type ModelManifest } from './manifest.ts'
import { elementTypes, encodeModel } from './onnx-schema.ts'
import { intoModel, outOfModel } from './wrap-luma.ts'
import { chain, cropTo, padTo, type Target, type Write } from './wrap-steps.ts'
import { cutTiles, joinTiles, loopOverTiles, tileIn, tileOut } from './wrap-tiles.ts'

/** The one size of a wrapped model: `batch` frames of `width` by `height` pixels a run. */
export interface FrameShape {
  width: number
  height: number
  batch: number
}

/** An image in uint8 RGB, row by row. */
export type StyleImage = { width: number; height: number; pixels: Uint8Array }

/**
 * Puts a model between bytes: the result takes uint8 RGB [batch, height, width, 3] and gives uint8 RGB
 * [batch, height * scale, width * scale, 3], all shapes fixed, so that no pixel is touched in JavaScript:
 *
 *   uint8 NHWC ─► NCHW ─► BGR ─► float ─► range ─► pad ─► MODEL ─► crop ─► range ─► round ─► RGB ─► NHWC ─► uint8 NHWC
 *
 * A step that has nothing to do is left out; a uint8 NHWC model only gets its shapes fixed. With tiles, MODEL and the
 * steps around it run for each tile, between cutting and joining. A style becomes a constant of the graph: the runtime
 * works out all that depends on it alone once, when it loads the model. The same arguments give the same bytes. The
 * result has one input and one output; their names are the model's own where nothing was put in between.
 *
 * A model that makes no image keeps its outputs as they are; only its input is put behind bytes.
 *
 * Throws InputError: `bad-model` and `model-mismatch` as `inspectModel` and `checkManifest` do, `model-refuses-size`
 * for a frame that does not fit the model's one size, or that its scale doesn't divide, `style-needed` and
 * `no-style` for a style that is missing or that the model doesn't take.
 */
export function wrapModel(
  bytes: Uint8Array,
  manifest: ModelManifest,
  frame: FrameShape,
  style?: StyleImage,
): Uint8Array {
  const model = readModel(bytes)
  const facts = factsOf(model)
  const { input, output } = checkManifest(facts, manifest)
  const framing = frameThrough(manifest, frame)
  const oneAtATime = framing.tiles || [input, output].some((tensor) => tensor.dims?.[0] === 1)
  if (frame.batch > 1 && oneAtATime) throw refusal(`the model takes one frame at a time, not ${frame.batch}`)

  const target: Target = { graph: createGraphBuilder('framefleet/'), opset: facts.opset }
  if (manifest.scores) {
    const { graph } = model
    const fixed = fixStyle(target, manifest, style)
    const before = [
      ...intoModel(target, imageInput(manifest)),
      ...padTo(target, imageInput(manifest), frame, framing.padded),
    ]
    graph.node = [...fixed, ...written(target, before, framesIn, input.name), ...graph.node]
    const wanted = scoreTensors(facts, manifest.scores).map((tensor) => tensor.name)
    const first = before.length > 0 ? framesIn : input.name
    const { batch, width, height } = frame
    graph.input = graph.input
      .filter((info) => info.name !== manifest.style?.name)
      .map((info) =>
        info.name === input.name ? imageValue(first, elementTypes.uint8, [batch, height, width, 3]) : info,
      )
    // As the model has them, only what nobody asks for is left out.
    graph.output = graph.output.filter(({ name }) => wanted.includes(name ?? ''))
    graph.valueInfo = []
    return encodeModel(model)
  }
  const names = { input: input.name, output: output.name }
  const fixed = fixStyle(target, manifest, style)
  const edges = framing.tiles
    ? wrapTiled(target, model, manifest, { ...names, frame, framing }, framing.tiles)
    : wrapWhole(target, model, manifest, { ...names, frame, framing })

  // Changed in place: a copy by spreading would lose the fields that the schema doesn't know.
  const { graph } = model
  graph.node = [...fixed, ...graph.node]
  const frames = (name: string, { width, height }: { width: number; height: number }) =>
    imageValue(name, elementTypes.uint8, [frame.batch, height, width, 3])
  // Before IR 4 the initializers are listed here too, and have to stay.
  graph.input = graph.input
    .filter((info) => info.name !== manifest.style?.name)
    .map((info) => (info.name === input.name ? frames(edges.input, frame) : info))
  graph.output = [frames(edges.output, framing.output)]
  // Intermediate shapes that an exporter wrote down are those of its own example size.
  graph.valueInfo = []
  return encodeModel(model)
}

const framesIn = 'framefleet/frames'
const framesOut = 'framefleet/scored'

type Wrapping = { input: string; output: string; frame: FrameShape; framing: Framing }

/** Puts the steps before and after the model's own nodes; gives the names of the first and the last tensor. */
function wrapWhole(
  target: Target,
  model: WholeModel,
  manifest: ModelManifest,
  { input, output, frame, framing }: Wrapping,
) {
  const before = [
    ...intoModel(target, imageInput(manifest)),
    ...padTo(target, imageInput(manifest), frame, framing.padded),
  ]
  const after = [
    ...cropTo(target, shapeOf(manifest.output), uncropped(framing, manifest, frame), framing.output),
    ...outOfModel(target, manifest.output, { frames: framesIn, frame }),
  ]
  model.graph.node = [
    ...written(target, before, framesIn, input),
    ...model.graph.node,
    ...written(target, after, output, framesOut),
  ]
  return {
    input: before.length > 0 ? framesIn : input,
    output: after.length > 0 ? framesOut : output,
  }
}

/** Puts the model's own nodes into a loop over the tiles of a frame. */
function wrapTiled(
  target: Target,
  model: WholeModel,
  manifest: ModelManifest,
  { input, output, frame, framing }: Wrapping,
  tiles: Tiles,
) {
  const { scale } = manifest.output
  const bytes = { layout: 'NHWC', type: 'uint8' } as const
  const own = model.graph.node
  const body = () => [
    // Something must be between the tile's names and the model's, also when there is nothing to convert.
    ...written(target, orCopy(target, intoModel(target, imageInput(manifest))), tileIn, input),
    ...own,
    ...written(
      target,
      orCopy(target, outOfModel(target, manifest.output, { frames: tileIn, frame: tiles })),
      output,
      tileOut,
    ),
  ]
  const steps = [
    ...padTo(target, bytes, frame, framing.padded),
    cutTiles(target, tiles),
    loopOverTiles(target, tiles, scale, body),
    joinTiles(target, tiles, scale),
    ...cropTo(target, { ...bytes, channels: 3 }, uncropped(framing, manifest, frame), framing.output),
  ]
  model.graph.node = written(target, steps, framesIn, framesOut)
  return { input: framesIn, output: framesOut }
}

function written(target: Target, steps: Write[], source: string, result: string): Uint8Array[] {
  chain(steps, source, result)
  return target.graph.take()
}

const orCopy = ({ graph }: Target, steps: Write[]): Write[] =>
  steps.length > 0 ? steps : [(x, out) => graph.add('Identity', [x], {}, out)]

/** Writes the style as a constant in place of the model's second input. */
function fixStyle(
  target: Target,
  { name, style: spec }: ModelManifest,
  style: StyleImage | undefined,
): Uint8Array[] {
  if (!spec && !style) return []
  if (!spec) throw new InputError('no-style', `The model ${name} takes no style image.`)
  if (!style) throw new InputError('style-needed', `The model ${name} needs a style image.`)
  const image = target.graph.bytes(style.pixels, [1, style.height, style.width, 3])
  chain(orCopy(target, intoModel(target, spec)), image, spec.name)
  return target.graph.take()
}

const shapeOf = ({ layout, channels }: ModelManifest['output']) => ({
  layout,
  channels: channelsOf({ channels }),
})

const uncropped = ({ padded }: Framing, { output: { scale } }: ModelManifest, { batch }: FrameShape) => ({
  batch,
  width: Math.round(padded.width * scale),
  height: Math.round(padded.height * scale),
})

const refusal = (text: string) =>
  new InputError('model-refuses-size', `${text[0]?.toUpperCase()}${text.slice(1)}.`)
