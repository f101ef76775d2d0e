import { Tensor } from 'onnxruntime-node'
import { InputError } from '../errors.ts'
import { featureGraph } from './features.ts'
import type { FeaturesInput, ModelManifest } from './manifest.ts'
import { openSession } from './session.ts'

type FeatureModel = ModelManifest & { input: FeaturesInput }

/** Made-up values of the features, a row each; none of them is special to any model. */
const madeUp = [0, 1, 0.5]

/**
 * Runs a model of features on three rows, or on as many as it takes. Throws InputError `model-refuses` with the runtime's words,
 * `model-mismatch` where it does not give what its manifest says.
 */
export async function tryRows(bytes: Uint8Array, manifest: FeatureModel) {
  const { rows, data } = await run(featureGraph(bytes, manifest), manifest)
  const { scores, name } = manifest
  const width = data.length / rows
  const gives = (text: string) => new InputError('model-mismatch', `The model ${name} gives ${text}.`)
  if (!Number.isInteger(width) || width === 0) throw gives(`${data.length} numbers for ${rows} rows`)
  if (scores?.task === 'anomaly' && width !== 1)
    throw gives(`${width} numbers for a row, and an anomaly is one: give --task`)
  const labels = scores?.task === 'classification' ? scores.labels?.length : undefined
  if (labels !== undefined && labels !== width)
    throw gives(`${width} numbers for a row, its manifest has ${labels} labels`)
  const wild = !data.every(Number.isFinite)
  return {
    manifest,
    warnings: wild ? ['of made-up rows it gives what is no finite number: such rows will fail'] : [],
  }
}

async function run(graph: Uint8Array, { name, input: { type, count } }: FeatureModel) {
  try {
    const { session } = await openSession(graph, { device: 'cpu', deviceId: 0, threads: 1 })
    const [input] = session.inputMetadata
    const [batch] = input && 'shape' in input ? input.shape : []
    const rows = typeof batch === 'number' && batch > 0 ? batch : madeUp.length
    const values = Array.from({ length: rows * count }, (_, i) => madeUp[Math.floor(i / count) % 3] ?? 0)
    const tensor =
      type === 'float64'
        ? new Tensor('float64', Float64Array.from(values), [rows, count])
        : new Tensor('float32', Float32Array.from(values), [rows, count])
    const made = await session.run({ [session.inputNames[0] ?? '']: tensor })
    await session.release()
    const data = Object.values(made).flatMap((scores) => [...(scores.data as Float32Array)].map(Number))
    return { rows, data }
  } catch (cause) {
    const [why] = (cause as Error).message.split('\n')
    const text = `The model ${name} can't be run on rows of ${count} features: ${why}`
    throw new InputError('model-refuses', text, { cause })
  }
}
