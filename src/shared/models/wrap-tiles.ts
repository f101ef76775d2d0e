import { overlapOf, type Tiles } from './fit.ts'
import { imageValue } from './graph-builder.ts'
import { elementTypes, encodeGraph } from './onnx-schema.ts'
import { slice, type Target, type Write } from './wrap-steps.ts'

/**
 * A model that sees a frame tile by tile. The tiles are cut out, the model runs in a Loop, one tile at a time (which
 * is all that a model with a fixed batch can do), and where tiles overlap one fades into the other.
 * Everything here is uint8 NHWC.
 */

/** One frame ─► [tiles, height, width, 3], row by row. */
export function cutTiles(target: Target, tiles: Tiles): Write {
  const { columns, rows, width, height } = tiles
  return (frame, out) => {
    const cut = rows.flatMap((y) =>
      columns.map((x) =>
        slice(target, [
          { axis: 1, from: y, to: y + height },
          { axis: 2, from: x, to: x + width },
        ])(frame),
      ),
    )
    return target.graph.add('Concat', cut, { axis: 0 }, out)
  }
}

/**
 * [tiles, height, width, 3] ─► [tiles, 1, height * scale, width * scale, 3]: the nodes that `body` gives, which turn
 * the tensor `tileIn` [1, height, width, 3] into `tileOut`, run for each tile.
 */
export function loopOverTiles(
  { graph }: Target,
  tiles: Tiles,
  scale: number,
  body: () => Uint8Array[],
): Write {
  return (cut, out) => {
    // What was written so far is outside the loop, and what comes next is inside.
    const outside = graph.take()
    graph.add(
      'Gather',
      [cut, graph.add('Reshape', ['framefleet/tile', graph.ints([1])])],
      { axis: 0 },
      tileIn,
    )
    graph.add('Identity', ['framefleet/on'], {}, 'framefleet/still-on')
    // Before opset 11 something had to be carried from turn to turn.
    graph.add('Identity', ['framefleet/carried'], {}, 'framefleet/carried-on')
    const inside = encodeGraph({
      node: [...graph.take(), ...body()],
      name: 'tile',
      initializer: [],
      input: [
        imageValue('framefleet/tile', elementTypes.int64, []),
        imageValue('framefleet/on', elementTypes.bool, []),
        imageValue('framefleet/carried', elementTypes.bool, []),
      ],
      output: [
        imageValue('framefleet/still-on', elementTypes.bool, []),
        imageValue('framefleet/carried-on', elementTypes.bool, []),
        imageValue(tileOut, elementTypes.uint8, [1, tiles.height * scale, tiles.width * scale, 3]),
      ],
      valueInfo: [],
    })
    graph.give(outside)
    const count = graph.ints([tiles.columns.length * tiles.rows.length])
    return graph.add('Loop', [count, graph.truth(), graph.truth()], { body: { graph: inside } }, out, [
      'framefleet/carried-out',
    ])
  }
}

export const tileIn = 'framefleet/tile-in'
export const tileOut = 'framefleet/tile-out'

/** [tiles, 1, height * scale, width * scale, 3] ─► one picture. */
export function joinTiles(target: Target, tiles: Tiles, scale: number): Write {
  const { columns, rows } = tiles
  const [width, height] = [tiles.width * scale, tiles.height * scale]
  const whole = [columns.at(-1) ?? 0, rows.at(-1) ?? 0].map((start) => start * scale)
  const picture = [1, (whole[1] ?? 0) + height, (whole[0] ?? 0) + width, 3]
  return (scored, out) => {
    const { graph } = target
    const table = graph.add('Reshape', [scored, graph.ints([rows.length, columns.length, height, width, 3])])
    const strips = fade(target, table, { at: 1, along: 3, starts: columns, tile: tiles.width, scale })
    const joined = fade(target, strips, { at: 0, along: 2, starts: rows, tile: tiles.height, scale })
    return graph.add('Reshape', [joined, graph.ints(picture)], {}, out)
  }
}

type Fade = { at: number; along: number; starts: number[]; tile: number; scale: number }

/**
 * Joins the entries of the axis `at`, side by side along the axis `along`: between two of them half the overlap goes
 * to each, but for a strip in the middle that is a mixture of both.
 */
function fade(target: Target, x: string, { at, along, starts, tile, scale }: Fade): string {
  const { graph } = target
  if (starts.length === 1) return x
  const part = (entry: number, from: number, to: number) => {
    const begin = (starts[entry] ?? 0) * scale
    return slice(target, [
      { axis: at, from: entry, to: entry + 1 },
      { axis: along, from: from - begin, to: to - begin },
    ])(x)
  }
  const parts: string[] = []
  let done = 0
  for (const [entry, start] of starts.entries()) {
    const next = starts[entry + 1]
    const end = (start + tile) * scale
    if (next === undefined) {
      parts.push(part(entry, done, end))
      break
    }
    const overlap = end - next * scale
    const strip = Math.min(overlap, overlapOf(tile) * scale)
    const from = next * scale + Math.floor((overlap - strip) / 2)
    parts.push(part(entry, done, from))
    // Tiles of a few pixels share none.
    if (strip > 0) {
      const [one, other] = [part(entry, from, from + strip), part(entry + 1, from, from + strip)]
      parts.push(mix(target, one, other, along, strip))
    }
    done = from + strip
  }
  return graph.add('Concat', parts, { axis: along })
}

/** From one to the other in `length` steps along an axis of five. */
function mix({ graph }: Target, one: string, other: string, along: number, length: number): string {
  const dims = [1, 1, 1, 1, 1].map((_, axis) => (axis === along ? length : 1))
  const share = Array.from({ length }, (_, i) => (i + 1) / (length + 1))
  const weigh = (x: string, weights: number[]) =>
    graph.add('Mul', [graph.add('Cast', [x], { to: elementTypes.float32 }), graph.floats(weights, dims)])
  const sum = graph.add('Add', [
    weigh(
      one,
      share.map((value) => 1 - value),
    ),
    weigh(other, share),
  ])
  return graph.add('Cast', [graph.add('Add', [sum, graph.floats([0.5])])], { to: elementTypes.uint8 })
}
