import type { GraphBuilder } from './graph-builder.ts'

/** A stroke's half width in pixels: each pixel takes the colour of the calmest of the four squares it is a corner of. */
const radius = 5

/** The variance of a brightness of 0..1 below which a square counts as flat: far less than the eye takes for texture. */
const calm = 1e-3

/**
 * Writes the relief look: float32 NCHW [n, 3, h, w] of 0..1 in and out, any size.
 *
 *   strokes  a soft Kuwahara filter: of the four squares around a pixel, the mean of those with the least variance.
 *            It flattens texture like a brush and keeps edges, and flickers less than a hard choice would.
 *   light    the strokes' brightness as a height field, lit from the upper left by a slanting difference
 *   ink      dark lines where the brightness changes most
 *   tone     cool shadows, warm lights, a soft S-curve, more colour
 */
export function writeRelief(graph: GraphBuilder, input: string, output: string): void {
  const strokes = writeStrokes(graph, input)
  const shade = writeShade(graph, strokes)
  const lit = graph.add('Add', [strokes, shade])
  writeTone(graph, lit, output)
}

const luma = [0.299, 0.587, 0.114]

function writeStrokes(graph: GraphBuilder, image: string): string {
  const channels = (x: string, from: number, to: number) => writeChannels(graph, x, from, to)
  const pads = graph.ints([0, 0, radius, radius, 0, 0, radius, radius])
  const padded = graph.add('Pad', [image, pads], { mode: 'edge' })
  // Channels: red, green, blue, brightness, brightness squared, so that one pass of means serves all five.
  const withLuma = graph.add('Conv', [
    padded,
    graph.floats([1, 0, 0, 0, 1, 0, 0, 0, 1, ...luma], [4, 3, 1, 1]),
  ])
  const brightness = channels(withLuma, 3, 4)
  const squared = graph.add('Mul', [brightness, brightness])
  const planes = graph.add('Concat', [withLuma, squared], { axis: 1 })
  // A box twice is a tent: strokes without the square corners of a single box.
  const half = Math.ceil(radius / 2)
  const once = graph.add('AveragePool', [planes], { kernel_shape: [half + 1, half + 1] })
  const means = graph.add('AveragePool', [once], { kernel_shape: [radius - half + 1, radius - half + 1] })

  // How calm a square is doesn't depend on whose corner it is: weighed once, it is then only shifted four ways.
  const [colour, mean, meanSquare] = [channels(means, 0, 3), channels(means, 3, 4), channels(means, 4, 5)]
  const variance = graph.add('Sub', [meanSquare, graph.add('Mul', [mean, mean])])
  // 1 / (variance + calm)^4: nearly the calmest square alone, but without a jump when another one takes over.
  const uneven = graph.add('Add', [graph.add('Relu', [variance]), graph.floats([calm])])
  const inverse = graph.add('Div', [graph.floats([calm]), uneven])
  const square = graph.add('Mul', [inverse, inverse])
  // The small addend keeps the sum of four weights away from 0, by which it is divided.
  const weight = graph.add('Add', [graph.add('Mul', [square, square]), graph.floats([1e-9])])
  const weighted = graph.add('Concat', [graph.add('Mul', [colour, weight]), weight], { axis: 1 })

  const far = 2 ** 31
  const corners = [0, radius].flatMap((y) => [0, radius].map((x) => ({ y, x })))
  const shifted = corners.map(({ y, x }) => {
    const ends = [y === 0 ? -radius : far, x === 0 ? -radius : far]
    return graph.add('Slice', [weighted, graph.ints([y, x]), graph.ints(ends), graph.ints([2, 3])])
  })
  const sum = shifted.reduce((a, b) => graph.add('Add', [a, b]))
  return graph.add('Div', [channels(sum, 0, 3), channels(sum, 3, 4)])
}

/** The channels from `from` up to, not including, `to` of an NCHW tensor. */
const writeChannels = (graph: GraphBuilder, x: string, from: number, to: number) =>
  graph.add('Slice', [x, graph.ints([from]), graph.ints([to]), graph.ints([1])])

/** What is added to each channel: lighter on slopes that face the light, darker on edges. */
function writeShade(graph: GraphBuilder, strokes: string): string {
  const pads = graph.ints([0, 0, 1, 1, 0, 0, 1, 1])
  const height = graph.add('Conv', [strokes, graph.floats(luma, [1, 3, 1, 1])])
  const padded = graph.add('Pad', [height, pads], { mode: 'edge' })
  // Three slopes in one convolution: along the light, and the two axes for the edges.
  const slopes = graph.add('Conv', [
    padded,
    graph.floats(
      [
        ...[-2, -1, 0, -1, 0, 1, 0, 1, 2].map((value) => value / 4),
        ...[-1, 0, 1, -2, 0, 2, -1, 0, 1].map((value) => value / 4),
        ...[-1, -2, -1, 0, 0, 0, 1, 2, 1].map((value) => value / 4),
      ],
      [3, 1, 3, 3],
    ),
  ])
  const slope = (index: number) => writeChannels(graph, slopes, index, index + 1)
  const [light, across, down] = [slope(0), slope(1), slope(2)]
  // tanh keeps the strongest edges from burning out.
  const relief = graph.add('Mul', [
    graph.add('Tanh', [graph.add('Mul', [light, graph.floats([-7])])]),
    graph.floats([0.1]),
  ])
  const squares = graph.add('Add', [graph.add('Mul', [across, across]), graph.add('Mul', [down, down])])
  const steep = graph.add('Clip', [
    graph.add('Sub', [graph.add('Sqrt', [squares]), graph.floats([0.1])]),
    graph.floats([0]),
    graph.floats([0.35]),
  ])
  return graph.add('Sub', [relief, graph.add('Mul', [steep, graph.floats([0.75])])])
}

function writeTone(graph: GraphBuilder, image: string, output: string): void {
  // More colour: each channel further away from the brightness.
  const saturation = 1.25
  const matrix = [0, 1, 2].flatMap((row) =>
    luma.map((weight, column) => (row === column ? saturation : 0) + (1 - saturation) * weight),
  )
  const vivid = graph.add('Conv', [image, graph.floats(matrix, [3, 3, 1, 1])])
  const clipped = graph.add('Clip', [vivid, graph.floats([0]), graph.floats([1])])
  // a + b x + c x² + d x³ for red, green and blue: blue lifted in the shadows, red in the lights.
  const column = (...values: number[]) => graph.floats(values, [1, 3, 1, 1])
  const [a, b, c, d] = [
    column(0, 0.01, 0.06),
    column(0.8, 0.85, 0.85),
    column(0.75, 0.55, 0.2),
    column(-0.5, -0.42, -0.22),
  ]
  const cubic = graph.add('Add', [graph.add('Mul', [clipped, d]), c])
  const square = graph.add('Add', [graph.add('Mul', [cubic, clipped]), b])
  graph.add('Add', [graph.add('Mul', [square, clipped]), a], {}, output)
}
