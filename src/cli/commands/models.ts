import select from '@inquirer/select'
import { InputError } from '../../shared/errors.ts'
import type { Field, Question } from '../../shared/models/draft.ts'
import { imageInput, type ImageSpec, takesFeatures } from '../../shared/models/manifest.ts'
import { connect, findEndpoint } from '../endpoint.ts'
import { uploadModel } from '../local-files.ts'
import { type ModelFile, readModelFile } from '../model-file.ts'
import { type Common, print, printLines, tell, visible } from '../output.ts'

export async function listModels(options: Common, env: NodeJS.ProcessEnv): Promise<number> {
  const { api } = await connect(env, options.dir)
  const answer = await api.models()
  if (options.json) print(answer.models)
  else
    for (const { name, version, title, description } of answer.models)
      print(`${name}@${version}  ${description ?? title ?? ''}`)
  return 0
}

type AddOptions = Common & {
  manifest?: string
  style?: string
  as?: string
  half: boolean
  dryRun: boolean
  range?: string
  outputRange?: string
  channels?: string
  layout?: string
  fit?: string
  features?: number
  task?: string
}

/**
 * Takes a model into the system: reads it and what there is to know of it, asks for the rest where somebody is there
 * to answer, runs it once and stores it. With `dryRun` prints the manifest it would have, and stores nothing.
 */
export async function addModel(path: string, options: AddOptions, env: NodeJS.ProcessEnv): Promise<number> {
  const [name, version] = options.as?.split('@') ?? []
  const { manifest: given, style, half, features, task } = options
  const file = await readModelFile(path, {
    manifest: given,
    style,
    half,
    name,
    version,
    features,
    task,
    ask: asking(options),
  })
  for (const warning of file.warnings) tell(`note: ${warning}`)
  if (options.dryRun) {
    if (options.json) print(file.manifest)
    else printLines(JSON.stringify(file.manifest, undefined, 2).split('\n'))
    return 0
  }
  const stored = await uploadModel(await findEndpoint(env, options.dir), file)
  print(options.json ? file.manifest : `${stored}  ${describe(file)}`)
  return 0
}

const flags: Record<Field, string> = {
  'input.layout': '--layout',
  'input.range': '--range',
  'input.channels': '--channels',
  'output.range': '--output-range',
  'size.fit': '--fit',
  'scores.task': '--task',
}

/** The options answer first, then whoever sits at the terminal. */
function asking(options: AddOptions): (question: Question) => Promise<string | undefined> {
  const said: Record<Field, string | undefined> = {
    'input.layout': options.layout,
    'input.range': options.range,
    'input.channels': options.channels,
    'output.range': options.outputRange ?? options.range,
    'size.fit': options.fit,
    'scores.task': options.task,
  }
  const somebody = process.stdin.isTTY && process.stderr.isTTY && !options.json
  return async ({ field, text, choices, assumed }) => {
    if (said[field] !== undefined) return said[field]
    if (!somebody && assumed === undefined) {
      throw new InputError('manifest-needed', `${text} Give ${flags[field]}: ${choices.join(', ')}.`)
    }
    if (!somebody) return undefined
    const message = visible(`${text} ${field}:`)
    return await select({ message, choices, default: assumed }, { output: process.stderr })
  }
}

function describe({ manifest, likeness }: ModelFile): string {
  const { output, size, style, scores } = manifest
  if (takesFeatures(manifest)) {
    const { type, count } = manifest.input
    return `in ${count} ${count === 1 ? 'feature' : 'features'} a row, ${type}; out ${scores?.task}`
  }
  const input = imageInput(manifest)
  const half = (dB?: number) => (dB === undefined ? [] : `float16 inside, ${dB.toFixed(1)} dB of likeness`)
  const range = ({ range }: ImageSpec) => (typeof range === 'string' ? range : 'mean and std')
  const tensor = (image: ImageSpec) => `${image.type} ${image.layout} ${image.channels} ${range(image)}`
  const fit =
    'width' in size ? `${size.width}x${size.height}, ${size.fit}` : `multiples of ${size.multipleOf}`
  const more = [
    output.scale === 1 ? [] : `scales by ${output.scale}`,
    style ? 'takes a style' : [],
    half(likeness),
  ].flat()
  return [`in ${tensor(input)}`, `out ${scores ? scores.task : tensor(output)}`, fit, ...more].join('; ')
}
