import { InferenceSession, Tensor } from 'onnxruntime-node'
import { hourOf } from '../../src/producer/readings/reading-hours.ts'
import { type Reading, identityOf } from './readings.ts'
import { features } from './sensor-model.ts'

export type Scored = Reading & { Prediction: number }

/** An hour takes readings of its own for so long after its end, as the producer does by default. */
const graceMs = 5 * 60_000

/** What lies under each hour once it is closed, in the order in which it came: `hour` is when it begins. */
export function byHour(arrivals: Iterable<{ at: number; reading: Reading }>): Map<number, Reading[]> {
  const hours = new Map<number, Reading[]>()
  for (const { at, reading } of arrivals) {
    const { hour } = hourOf(Date.parse(reading.TS), at, graceMs)
    const there = hours.get(hour)
    if (there) there.push(reading)
    else hours.set(hour, [reading])
  }
  return hours
}

/** Each reading once: what is sent again after an answer was lost lies under its hour twice. */
export const withoutRepeats = (readings: Reading[]): Reading[] => [
  ...new Map(readings.map((reading) => [identityOf(reading), reading])).values(),
]

export type Models = Map<string, InferenceSession>
export const modelName = (device: string, tag: string) => `svm-${device}-${tag}`

export async function openModels(models: Iterable<[name: string, onnx: Uint8Array]>): Promise<Models> {
  const open: Models = new Map()
  for (const [name, onnx] of models)
    open.set(name, await InferenceSession.create(onnx, { intraOpNumThreads: 1 }))
  return open
}

/** Scores readings, those of each device and tag by the model of theirs; in their order. Throws where there is none. */
export async function score(models: Models, readings: Reading[]): Promise<Scored[]> {
  const scored: Scored[] = []
  const groups = Map.groupBy(readings, ({ Device, Tag }) => modelName(Device, Tag))
  for (const [name, group] of groups) {
    const model = models.get(name)
    if (!model) throw new Error(`there is no model ${name}`)
    const rows = Float32Array.from(group.flatMap((reading) => features.map((feature) => reading[feature])))
    const given = new Tensor('float32', rows, [group.length, features.length])
    const { prediction } = await model.run({ features: given })
    const signs = prediction?.data as Float32Array
    scored.push(...group.map((reading, i) => ({ ...reading, Prediction: signs[i] ?? 0 })))
  }
  return scored.sort((a, b) => (identityOf(a) < identityOf(b) ? -1 : 1))
}

export const toCsv = (scored: Scored[]) =>
  ['TS,Device,Tag,Val,Prediction']
    .concat(
      scored.map(({ TS, Device, Tag, Val, Prediction }) => [TS, Device, Tag, Val, Prediction].join(',')),
    )
    .join('\n')
    .concat('\n')
