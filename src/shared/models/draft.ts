import { z } from 'zod'
import { InputError } from '../errors.ts'
import { draftOfFeatures, isOfFeatures } from './draft-features.ts'
import { checkFeatures } from './features.ts'
import { checkManifest, type ModelFacts, onlyTensor, shapeOf, sidesOf, type TensorFacts } from './inspect.ts'
import { type ImageSpec, type ModelManifest, parseManifest, takesFeatures } from './manifest.ts'

/** A manifest as people begin it: any part may be missing, none has been checked. */
const Draft = z.looseObject({
  input: z.looseObject({}).default({}),
  output: z.looseObject({}).default({}),
  style: z.looseObject({}).optional(),
  size: z.looseObject({}).default({}),
  scores: z.looseObject({}).optional(),
})
export type Draft = z.infer<typeof Draft>

/** What only a person knows of a model. `assumed` is what holds when nobody is there to ask. */
export type Question = { field: Field; text: string; choices: string[]; assumed?: string }
export type Field =
  | 'input.layout'
  | 'input.range'
  | 'input.channels'
  | 'output.range'
  | 'size.fit'
  | 'scores.task'

const ranges: Record<string, unknown> = {
  '0..1': '0..1',
  '0..255': '0..255',
  '-1..1': '-1..1',
  imagenet: { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] },
}

/**
 * Fills in what a model's graph says and the manifest leaves out, and asks for the rest.
 * Throws InputError `model-mismatch` for a model that no manifest would make fit.
 */
export function draftManifest(given: unknown, facts: ModelFacts): { draft: Draft; questions: Question[] } {
  const draft = asDraft(given)
  if (isOfFeatures(draft, facts)) return draftOfFeatures(draft, facts)
  const style = draft.style ?? styleOf(facts)
  const images = facts.inputs.filter(({ name }) => name !== style?.['name'])
  const input = onlyTensor(images, 'input', text(draft.input['name']))
  // What is no image has neither layout nor range.
  if (draft.scores) return draftOfScores(draft, input)
  const output = onlyTensor(facts.outputs, 'output', text(draft.output['name']))

  const layout = layoutOf(draft.input['layout'], input)
  const scored = layoutOf(draft.output['layout'], output) ?? layout
  const channels = lumaOf(input, layout)
  const size = sizeOf(input, layout)
  const scale = scaleOf(size, output, scored)
  const type = (tensor: TensorFacts | undefined) => (tensor?.type === 'uint8' ? 'uint8' : 'float32')
  const full: Draft = {
    ...draft,
    input: said({ name: input.name, type: type(input), layout, channels, ...draft.input }),
    output: said({ name: output.name, type: type(output), layout: scored, channels, scale, ...draft.output }),
    size: { ...size, ...draft.size },
  }
  if (style) {
    const tensor = facts.inputs.find(({ name }) => name === style['name'])
    full.style = { ...full.input, type: type(tensor), ...style }
  }
  return { draft: full, questions: openQuestions(full, input, output) }
}

function draftOfScores(draft: Draft, input: TensorFacts): { draft: Draft; questions: Question[] } {
  const layout = layoutOf(draft.input['layout'], input)
  const type = input.type === 'uint8' ? 'uint8' : 'float32'
  const full: Draft = {
    ...draft,
    input: said({ name: input.name, type, layout, channels: lumaOf(input, layout), ...draft.input }),
    size: { ...sizeOf(input, layout), ...draft.size },
  }
  return { draft: full, questions: openQuestions(full, input) }
}

function openQuestions(draft: Draft, input: TensorFacts, output?: TensorFacts): Question[] {
  const questions: Question[] = []
  if (draft.input['layout'] === undefined) {
    questions.push({
      field: 'input.layout',
      text: input.dims
        ? `The model's input "${input.name}" is ${shapeOf(input)}, which could be NCHW or NHWC.`
        : `The graph doesn't state the shape of the model's input "${input.name}".`,
      choices: ['NCHW', 'NHWC'],
    })
  }
  for (const [side, tensor] of [
    ['input', input],
    ['output', output],
  ] as const) {
    if (!tensor || draft[side]['type'] !== 'float32' || draft[side]['range'] !== undefined) continue
    questions.push({
      field: `${side}.range`,
      text: `The model's ${side} "${tensor.name}" is float32 and the graph doesn't say what its values mean.`,
      choices: Object.keys(ranges),
    })
  }
  if (draft.input['channels'] === undefined) {
    const text = `Which way round are the channels of "${input.name}"?`
    questions.push({ field: 'input.channels', text, choices: ['RGB', 'BGR'], assumed: 'RGB' })
  }
  if (draft.size['width'] !== undefined && draft.size['fit'] === undefined) {
    const { width, height } = draft.size
    const text = `The model takes ${Number(width)}x${Number(height)} only. How is a frame of another size fitted to it?`
    // Stretched or letterboxed it would come back in its own size, and nothing of it be larger.
    const assumed = Number(draft.output['scale'] ?? 1) > 1 ? 'tile' : 'stretch'
    questions.push({ field: 'size.fit', text, choices: ['stretch', 'letterbox', 'tile'], assumed })
  }
  return questions
}

/** Puts an answer into a draft. What holds for the input's channels holds for the output's and the style's. */
export function answer(draft: Draft, { field, choices }: Question, choice: string): Draft {
  if (!choices.includes(choice)) {
    throw new InputError('bad-manifest', `${field} must be one of ${choices.join(', ')}, not ${choice}.`)
  }
  const [part, key] = field.split('.') as ['input' | 'output' | 'size' | 'scores', string]
  const value = key === 'range' ? ranges[choice] : choice
  const shared = ['layout', 'channels'].includes(key)
  const withStyle = draft.style && part === 'input' && { style: { [key]: value, ...draft.style } }
  return {
    ...draft,
    [part]: { ...draft[part], [key]: value },
    ...(shared && part === 'input' && !draft.scores ? { output: { [key]: value, ...draft.output } } : {}),
    ...withStyle,
  }
}

/**
 * The manifest that a draft has become. Throws InputError `bad-manifest`, `model-mismatch`, and `manifest-needed` while
 * questions are open that nothing can be assumed for.
 */
export function finishManifest(
  draft: Draft,
  questions: Question[],
  facts: ModelFacts,
  where: string,
): ModelManifest {
  const done = questions.reduce((made, question) => {
    if (question.assumed !== undefined) return answer(made, question, question.assumed)
    throw new InputError(
      'manifest-needed',
      `${question.text} State ${question.field} in a model.json: ${question.choices.join(', ').replace('imagenet', 'or mean and std')}.`,
    )
  }, draft)
  const manifest = parseManifest(done, where)
  if (takesFeatures(manifest)) checkFeatures(facts, manifest)
  else checkManifest(facts, manifest)
  return manifest
}

function asDraft(given: unknown): Draft {
  const read = Draft.safeParse(given)
  if (read.success) return { ...read.data }
  throw new InputError(
    'bad-manifest',
    'A manifest is an object whose input, output, style and size are objects.',
  )
}

const text = (value: unknown) => (typeof value === 'string' ? value : undefined)
const said = (part: Record<string, unknown>) =>
  Object.fromEntries(Object.entries(part).filter(([, value]) => value !== undefined))

/** Of two inputs, the one that calls itself a style. */
function styleOf({ inputs }: ModelFacts): { name: string } | undefined {
  const named = inputs.filter(({ name }) => /style/i.test(name))
  return inputs.length === 2 && named.length === 1 ? { name: named[0]?.name ?? '' } : undefined
}

/** undefined when it could be either. */
function layoutOf(given: unknown, tensor: TensorFacts): ImageSpec['layout'] | undefined {
  if (given === 'NCHW' || given === 'NHWC') return given
  const { dims } = tensor
  if (!dims) return undefined
  if (dims.length !== 4) {
    throw new InputError(
      'model-mismatch',
      `The tensor "${tensor.name}" is ${shapeOf(tensor)}, an image batch has 4 dimensions.`,
    )
  }
  if (dims[1] === 3 && dims[3] !== 3) return 'NCHW'
  if (dims[3] === 3 && dims[1] !== 3) return 'NHWC'
  if (dims[1] === 1 && dims[3] !== 1) return 'NCHW'
  if (dims[3] === 1 && dims[1] !== 1) return 'NHWC'
  if (dims[1] === 3 || dims[1] === 1 || typeof dims[1] !== 'number' || typeof dims[3] !== 'number')
    return undefined
  throw new InputError(
    'model-mismatch',
    `The tensor "${tensor.name}" is ${shapeOf(tensor)}; a frame has 3 channels, or 1 of brightness.`,
  )
}

/** Of one channel; which way round three are the graph doesn't say. */
const lumaOf = ({ dims }: TensorFacts, layout: ImageSpec['layout'] | undefined): 'Y' | undefined =>
  layout && dims?.[layout === 'NCHW' ? 1 : 3] === 1 ? 'Y' : undefined

function sizeOf(input: TensorFacts, layout: ImageSpec['layout'] | undefined) {
  const [height, width] = layout && input.dims ? sidesOf(input, layout) : []
  return typeof height === 'number' && typeof width === 'number' ? { width, height } : {}
}

function scaleOf(size: { width?: number }, output: TensorFacts, layout: ImageSpec['layout'] | undefined) {
  const [, width] = layout && output.dims ? sidesOf(output, layout) : []
  return typeof width === 'number' && size.width !== undefined ? width / size.width : undefined
}
