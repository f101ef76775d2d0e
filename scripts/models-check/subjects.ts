import { readFile } from 'node:fs/promises'
import { InvalidArgumentError } from 'commander'
import { InputError } from '../../src/shared/errors.ts'
import { builtinModels } from '../../src/shared/models/builtin.ts'
import { checkManifest, inspectModel } from '../../src/shared/models/inspect.ts'
import { imageInput, type ModelManifest, parseManifest } from '../../src/shared/models/manifest.ts'
import { shippedModels } from '../../src/shared/models/shipped.ts'
import { type Picture, readPainting } from './pictures.ts'

/** A network to measure: it takes and gives float32 NCHW, RGB in 0..1, of any size. */
export type Subject = {
  name: string
  role: 'shipped' | 'ablation' | 'compared'
  manifest: ModelManifest
  bytes: Uint8Array
  /** What goes into the second input of a network that has one. */
  painting?: Picture
}

/** Something the caller can mend: said in one sentence, without a stack. */
export class UsageError extends Error {
  override name = 'UsageError'
}

export type Comparison = { name: string; model: string; painting: string | undefined }

/** Reads NAME=MODEL.onnx or NAME=MODEL.onnx:PAINTING. Throws InvalidArgumentError. */
export function parseComparison(text: string, before: Comparison[] = []): Comparison[] {
  const [, name, model, painting] = /^([a-z0-9][a-z0-9-]*)=(.+?\.onnx)(?::(.+))?$/.exec(text) ?? []
  if (!name || !model) {
    throw new InvalidArgumentError(
      'It must be NAME=MODEL.onnx or NAME=MODEL.onnx:PAINTING, the name of lower-case letters, digits and hyphens.',
    )
  }
  return [...before, { name, model, painting }]
}

/** The trained networks in models/, without those written by code. */
export async function shippedSubjects(): Promise<Subject[]> {
  const written = new Set(builtinModels().map(({ manifest }) => manifest.name))
  const trained = (await shippedModels()).filter(({ manifest }) => !written.has(manifest.name))
  return trained.map(({ manifest, bytes }) => {
    const { layout, type, range, channels } = imageInput(manifest)
    const plain = layout === 'NCHW' && type === 'float32' && range === '0..1' && channels === 'RGB'
    if (!plain || manifest.style) {
      throw new Error(`${manifest.name}: only networks from float32 NCHW, RGB in 0..1, can be measured yet.`)
    }
    return { name: manifest.name, role: 'shipped', manifest, bytes }
  })
}

/** The same network in the same style, trained without the stability term: what a shipped one is measured against. */
export async function ablationOf(shipped: Subject): Promise<Subject> {
  const file = new URL(`../../models/train/without-stability/${shipped.name}.onnx`, import.meta.url)
  const name = `${shipped.name}-without`
  return { name, role: 'ablation', manifest: imageManifest(name), bytes: await readFile(file) }
}

/** Throws UsageError for a file that is missing, or is not a network that can be measured. */
export async function comparedSubject({ name, model, painting }: Comparison): Promise<Subject> {
  const bytes = await readFile(model).catch(() => {
    throw new UsageError(`There is no model ${model}, which --compare names.`)
  })
  try {
    const facts = inspectModel(bytes)
    const [first, second] = facts.inputs
    if (second && !painting) {
      throw new UsageError(
        `${name} has a second input: give its painting, --compare ${name}=${model}:PAINTING.`,
      )
    }
    if (painting && !second) throw new UsageError(`${name} has one input only: leave the painting out.`)
    const manifest = imageManifest(name, first?.name, second?.name)
    checkManifest(facts, manifest)
    return {
      name,
      role: 'compared',
      manifest,
      bytes,
      ...(painting && { painting: await readStyle(painting) }),
    }
  } catch (error) {
    if (error instanceof InputError) throw new UsageError(`${name}: ${error.message}`)
    throw error
  }
}

/** The painting's shorter side in pixels, with which the cards' figures of such networks were measured. */
const paintingSide = 448

const readStyle = async (path: string) =>
  await readPainting(path, paintingSide).catch((error: unknown) => {
    throw new UsageError(`The painting ${path} can't be read: ${(error as Error).message}.`)
  })

function imageManifest(name: string, input?: string, style?: string): ModelManifest {
  const image = { layout: 'NCHW', type: 'float32', range: '0..1', channels: 'RGB' }
  return parseManifest(
    {
      name,
      input: { ...image, ...(input && { name: input }) },
      output: image,
      ...(style && { style: { ...image, name: style } }),
      size: { multipleOf: 8 },
    },
    name,
  )
}
