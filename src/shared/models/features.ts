import { InputError } from '../errors.ts'
import { factsOf, type ModelFacts, readModel, shapeOf, type TensorFacts } from './inspect.ts'
import type { FeaturesInput, ModelManifest } from './manifest.ts'
import { encodeModel } from './onnx-schema.ts'

/**
 * Models that take the features of rows. What trains them (scikit-learn and the like) exports operators of `ai.onnx.ml`: scalers,
 * SVMs, forests; small networks do as well. One input, numbers [N, count]; of the outputs one is the scores.
 */

type FeatureModel = Pick<ModelManifest, 'scores'> & { input: FeaturesInput }

const numbers = ['float32', 'float64']
const scored = [...numbers, 'int64']

/** Whether a graph takes rows: its only input has two dimensions, which no image has. */
export const looksLikeRows = ({ inputs: [input, other] }: ModelFacts): boolean =>
  input !== undefined && other === undefined && input.dims?.length === 2

/** The one input there is. Throws InputError `model-mismatch`. */
export function featuresTensor({ inputs }: ModelFacts, name?: string): TensorFacts {
  const names = inputs.map((tensor) => tensor.name).join(', ')
  const [input, ...others] = inputs
  if (!input) throw mismatch('the model has no input')
  if (others.length > 0)
    throw mismatch(
      `the model has ${inputs.length} inputs (${names}); the features of a row come as one tensor [N, count]`,
    )
  if (name !== undefined && name !== input.name)
    throw mismatch(`the manifest names the input "${name}", the model has ${names}`)
  if (!numbers.includes(input.type))
    throw mismatch(`the input "${input.name}" is ${input.type}; features are float32 or float64`)
  if (input.dims && input.dims.length !== 2)
    throw mismatch(`the input "${input.name}" is ${shapeOf(input)}; features are [N, count]`)
  return input
}

/**
 * The output that is the scores: the one that is named, else the only one of floats, else the only one of integers. Throws
 * InputError `model-mismatch`, also for what onnxruntime-node can't hand out.
 */
export function scoresTensor({ outputs }: ModelFacts, name?: string): TensorFacts {
  const names = outputs.map((tensor) => tensor.name).join(', ')
  const found = name === undefined ? guess(outputs) : outputs.find((tensor) => tensor.name === name)
  if (!found && name !== undefined)
    throw mismatch(`the manifest names the output "${name}", the model has ${names || 'none'}`)
  const zipped = (found ? [found] : outputs).find(({ type }) => type === 'a sequence' || type === 'a map')
  if (zipped)
    throw mismatch(
      `the output "${zipped.name}" is ${zipped.type} and no tensor; export the model without ZipMap ` +
        "(skl2onnx: options={'zipmap': False})",
    )
  if (!found)
    throw mismatch(
      `the model has the outputs ${names}; say which holds the scores in the manifest's scores.scores`,
    )
  if (!scored.includes(found.type))
    throw mismatch(`the output "${found.name}" is ${found.type}; scores are float32, float64 or int64`)
  return found
}

/** Of a classifier's label and its probabilities, the probabilities; of an outlier's label and its score, the score. */
function guess(outputs: TensorFacts[]): TensorFacts | undefined {
  const floats = outputs.filter(({ type }) => numbers.includes(type))
  const whole = outputs.filter(({ type }) => type === 'int64')
  if (floats.length > 0) return floats.length === 1 ? floats[0] : undefined
  const others = outputs.length - whole.length
  return whole.length === 1 && others === 0 ? whole[0] : undefined
}

/** How many numbers an output has for each row, where its shape says so. */
export const widthOf = ({ dims }: TensorFacts): number | undefined => {
  const sides = dims?.slice(1)
  if (!sides?.every((side) => typeof side === 'number')) return undefined
  return sides.reduce((product, side) => product * side, 1)
}

/** Checks that a graph is what its manifest says. Throws InputError `model-mismatch` with one sentence for what differs. */
export function checkFeatures(facts: ModelFacts, { input: says, scores }: FeatureModel): void {
  const input = featuresTensor(facts, says.name)
  if (input.type !== says.type)
    throw mismatch(`the input "${input.name}" is ${input.type}, the manifest says ${says.type}`)
  const [, count] = input.dims ?? []
  if (typeof count === 'number' && count !== says.count)
    throw mismatch(`the input "${input.name}" takes ${count} features, the manifest says ${says.count}`)
  const output = scoresTensor(facts, scores?.scores)
  const width = widthOf(output)
  if (scores?.task === 'anomaly' && width !== undefined && width !== 1)
    throw mismatch(`the output "${output.name}" has ${width} numbers for each row; an anomaly is one`)
  const labels = scores?.task === 'classification' ? scores.labels?.length : undefined
  if (labels !== undefined && width !== undefined && width !== labels)
    throw mismatch(`the output "${output.name}" has ${width} classes, the manifest has ${labels} labels`)
}

/** The model with its scores as the only output: what else it makes is not worked out, and texts can't stop a run. */
export function featureGraph(bytes: Uint8Array, { scores }: Pick<ModelManifest, 'scores'>): Uint8Array {
  const model = readModel(bytes)
  const { name } = scoresTensor(factsOf(model), scores?.scores)
  model.graph.output = model.graph.output.filter((output) => output.name === name)
  return encodeModel(model)
}

const sentence = (text: string) => `${text[0]?.toUpperCase()}${text.slice(1)}.`
const mismatch = (text: string) => new InputError('model-mismatch', sentence(text))
