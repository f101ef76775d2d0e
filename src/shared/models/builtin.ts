import { createHash } from 'node:crypto'
import { createGraphBuilder, type GraphBuilder, imageValue } from './graph-builder.ts'
import { type ModelManifest, parseManifest } from './manifest.ts'
import { elementTypes, encodeModel } from './onnx-schema.ts'
import { writeRelief } from './relief.ts'

export interface BuiltinModel {
  manifest: ModelManifest
  bytes: Uint8Array
}

/**
 * The models that come with framefleet, written as ONNX by code: no weights to download.
 * Both take any size. The same version always has the same bytes.
 */
export function builtinModels(): BuiltinModel[] {
  return [
    builtin(
      {
        name: 'passthrough',
        title: 'Pass-through',
        description: 'Gives every frame back as it is: for checking a fleet, its codecs and its timing.',
      },
      ['n', 'h', 'w', 3],
      (graph, input, output) => graph.add('Identity', [input], {}, output),
    ),
    builtin(
      {
        name: 'relief',
        title: 'Relief',
        description: 'Thick paint in evening light: flat strokes, raised edges lit from the upper left.',
        input: { layout: 'NCHW', type: 'float32', range: '0..1' },
        output: { layout: 'NCHW', type: 'float32', range: '0..1' },
      },
      ['n', 3, 'h', 'w'],
      writeRelief,
    ),
  ]
}

function builtin(
  description: Record<string, unknown> & { name: string },
  dims: (number | string)[],
  write: (graph: GraphBuilder, input: string, output: string) => void,
): BuiltinModel {
  const graph = createGraphBuilder(`${description.name}/`)
  write(graph, 'image', 'scored')
  const { input } = parseManifest(description, description.name)
  const bytes = encodeModel({
    irVersion: 8,
    opsetImport: [{ domain: '', version: 17 }],
    graph: {
      node: graph.take(),
      name: description.name,
      initializer: [],
      input: [imageValue('image', elementTypes[input.type], dims)],
      output: [imageValue('scored', elementTypes[input.type], dims)],
      valueInfo: [],
    },
  })
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  return { bytes, manifest: parseManifest({ ...description, sha256 }, description.name) }
}
