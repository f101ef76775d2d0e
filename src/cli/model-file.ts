import { readFile, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { InputError } from '../shared/errors.ts'
import { answer, draftManifest, finishManifest, type Question } from '../shared/models/draft.ts'
import { toHalf } from '../shared/models/half.ts'
import { inspectModel } from '../shared/models/inspect.ts'
import { type ModelManifest, takesFeatures } from '../shared/models/manifest.ts'
import { sha256 } from '../shared/models/model-store.ts'
import { drawPicture } from '../shared/models/picture.ts'
import type { StyleImage } from '../shared/models/wrap.ts'
import { prepareStyle, readStyle } from '../shared/models/style-image.ts'
import { likeness, tryModel } from '../shared/models/trial-run.ts'

/** A model file, described and tried. */
export type ModelFile = {
  manifest: ModelManifest
  bytes: Uint8Array
  style?: Buffer
  warnings: string[]
  /** What it does, as a JPEG; none where it can't be shown on the sample photograph. */
  picture?: Buffer
  /** Of a model that was turned to float16: how like the original it is, in dB. */
  likeness?: number
}

export type ModelFileOptions = {
  manifest?: string
  name?: string
  version?: string
  /** An image that becomes the model's own style. */
  style?: string
  /** What stands over the manifest's: how many features a row has, and what the model tells of an item. */
  features?: number
  task?: string
  /** Turns the inside of the model to float16. */
  half?: boolean
  /** Answers a question the graph leaves open; undefined leaves it open. */
  ask(question: Question): Promise<string | undefined>
}

/** ONNX files are protocol buffers, which end there. */
const maxModelBytes = 2 ** 31 - 1

/**
 * Reads a model file and the manifest beside it, fills in what its graph says, asks for the rest, and runs it once.
 * Throws InputError with one sentence for what is wrong with any of it.
 */
export async function readModelFile(path: string, options: ModelFileOptions): Promise<ModelFile> {
  const bytes = await readModelBytes(path)
  const given = told(
    { ...defaults(path, bytes, options.half), ...(await readManifest(path, options.manifest)) },
    options,
  )
  const facts = inspectModel(bytes)
  let { draft, questions } = draftManifest(given, facts)
  const open: Question[] = []
  for (const question of questions) {
    const said = await options.ask(question)
    if (said === undefined) open.push(question)
    else draft = answer(draft, question, said)
  }
  const manifest = finishManifest(draft, open, facts, options.manifest ?? 'the manifest')
  if (manifest.sha256 && manifest.sha256 !== sha256(bytes)) {
    throw new InputError('model-sha256', `${path} is not the model its manifest names (sha256 differs).`)
  }
  if (options.half && takesFeatures(manifest))
    throw new InputError(
      'half-refused',
      'A model of features keeps its numbers: --half is for models of images.',
    )
  const style = options.style === undefined ? undefined : await readStyleFile(options.style, manifest)
  const free = {
    multipleOf: draft.size['multipleOf'] === undefined,
    scale: draft.output['scale'] === undefined,
  }
  const trialStyle = await styleForTrial(style, manifest)
  const tried = await tryModel(bytes, manifest, free, trialStyle)
  const picture = takesFeatures(tried.manifest)
    ? undefined
    : await drawPicture(bytes, tried.manifest, trialStyle).catch(() => undefined)
  const described = { ...tried, style, ...(picture ? { picture } : {}) }
  if (!options.half) return { ...described, bytes }
  return { ...described, ...(await turnToHalf(bytes, tried.manifest, trialStyle)) }
}

/** Below this the eye begins to see a difference. */
const leastLikeness = 40

/** The model with float16 inside, if it still makes the same pictures. */
async function turnToHalf(bytes: Uint8Array, manifest: ModelManifest, style?: StyleImage) {
  const turned = toHalf(bytes, manifest)
  const found = await likeness([bytes, turned], manifest, style)
  if (found < leastLikeness) {
    throw new InputError(
      'half-refused',
      `With float16 the model makes other pictures: ${found.toFixed(1)} dB of likeness, ${leastLikeness} are needed.`,
    )
  }
  // What was checked against its sha256 is the original.
  return { bytes: turned, likeness: found, manifest: { ...manifest, sha256: undefined } }
}

async function readModelBytes(path: string): Promise<Uint8Array> {
  const found = await stat(path).catch(() => undefined)
  if (!found?.isFile()) throw new InputError('no-file', `There is no model file ${path}.`)
  if (found.size <= maxModelBytes) return await readFile(path)
  throw new InputError(
    'model-too-large',
    `${path} has ${(found.size / 2 ** 30).toFixed(1)} GiB; an ONNX file can't be larger than 2 GiB.`,
  )
}

/** The name from the file's, and a version that no other file has. */
function defaults(path: string, bytes: Uint8Array, half = false): { name: string; version: string } {
  const stem = basename(path)
    .replace(/\.onnx$/i, '')
    .toLowerCase()
  const name = stem
    .replaceAll(/[^a-z0-9-]+/g, '-')
    .replace(/^-+/, '')
    .slice(0, 63)
  return { name: name || 'model', version: `${sha256(bytes).slice(0, 12)}${half ? '-half' : ''}` }
}

/** A manifest with what the caller says of it. */
function told(manifest: Record<string, unknown>, { name, version, features, task }: ModelFileOptions) {
  return {
    ...manifest,
    ...(name === undefined ? {} : { name }),
    ...(version === undefined ? {} : { version }),
    ...(features === undefined
      ? {}
      : { input: { ...objectOf(manifest['input']), kind: 'features', count: features } }),
    ...(task === undefined ? {} : { scores: { ...objectOf(manifest['scores']), task } }),
  }
}

const objectOf = (value: unknown): object => (typeof value === 'object' && value !== null ? value : {})

/** The manifest that is given, or the one beside a model (`NAME.json` or `model.json`). */
async function readManifest(path: string, given: string | undefined): Promise<object> {
  const candidates = given ? [given] : [path.replace(/\.onnx$/i, '.json'), join(dirname(path), 'model.json')]
  for (const candidate of candidates) {
    const text = await readFile(candidate, 'utf8').catch(() => undefined)
    // An empty one beside the model is where a shell is about to write what this prints.
    if (text === '' && !given) continue
    if (text !== undefined) return parseJson(text, candidate)
  }
  if (given) throw new InputError('no-file', `There is no manifest ${given}.`)
  return {}
}

function parseJson(text: string, where: string): object {
  try {
    const json: unknown = JSON.parse(text)
    if (typeof json === 'object' && json !== null && !Array.isArray(json)) return json
  } catch {
    // Said below, as for JSON that is no object.
  }
  throw new InputError('bad-manifest', `${where} is not a JSON object.`)
}

async function readStyleFile(path: string, manifest: ModelManifest): Promise<Buffer> {
  if (!manifest.style) throw new InputError('no-style', `The model ${manifest.name} takes no style image.`)
  const file = await readFile(path).catch(() => {
    throw new InputError('no-file', `There is no style image ${path}.`)
  })
  return await prepareStyle(file, manifest.style, path)
}

/** A model that comes without a style of its own is tried with a grey one. */
async function styleForTrial(style: Buffer | undefined, manifest: ModelManifest) {
  if (style) return await readStyle(style)
  if (!manifest.style) return undefined
  const { size } = manifest.style
  const { width, height } = 'width' in size ? size : { width: size.longSide, height: size.longSide }
  return { width, height, pixels: new Uint8Array(width * height * 3).fill(128) }
}
