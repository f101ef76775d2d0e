import { InputError } from '../../shared/errors.ts'
import type { PartLine } from '../../shared/items/item.ts'
import type { ScoresSpec } from '../../shared/models/manifest.ts'
import type { ScoreTensor } from '../inference-thread.ts'
import { best, softmax } from './read-scores.ts'

type Value = Extract<PartLine, { value: object }>['value']

/**
 * What a model of features says of the n-th of `rows` rows: as `readScores` has it of images, with the numbers as the model gives
 * them, a float32 to its seven digits. What is no finite number has no place in JSON and is nobody's score: undefined. Throws
 * InputError `model-refuses` where the model gives something else than its manifest says.
 */
export function rowReader(
  [tensor]: ScoreTensor[],
  spec: ScoresSpec,
  { rows, top = 5 }: { rows: number; top?: number | undefined },
): (n: number) => Value | undefined {
  const width = (tensor?.data.length ?? 0) / rows
  if (!tensor || !Number.isInteger(width) || width === 0)
    throw refusal(`The model gives ${tensor?.data.length ?? 0} numbers for ${rows} rows.`)
  const { data } = tensor
  const number =
    data instanceof Float32Array
      ? (at: number) => shortest(data[at] as number)
      : (at: number) => Number(data[at])
  if (spec.task === 'anomaly') {
    if (width !== 1) throw refusal(`The model gives ${width} numbers for a row; an anomaly is one.`)
    return (n) => {
      const score = number(n)
      return Number.isFinite(score) ? { score } : undefined
    }
  }
  const row = (n: number) => {
    const values = Array.from({ length: width }, (_, i) => number(n * width + i))
    return values.every(Number.isFinite) ? values : undefined
  }
  if (spec.task === 'vector') {
    return (n) => {
      const vector = row(n)
      return vector && { vector }
    }
  }
  const { labels } = spec
  if (labels && labels.length !== width)
    throw refusal(`The model gives ${width} classes, its manifest has ${labels.length} labels.`)
  const labelOf = (index: number) => labels?.[index] ?? String(index)
  return (n) => {
    const values = row(n)
    if (!values) return undefined
    const chances = spec.softmax ? softmax(values).map((chance) => shortest(chance)) : values
    const shown = best(chances, top).map((index) => ({ label: labelOf(index), score: chances[index] ?? 0 }))
    return { label: shown[0]?.label ?? null, score: shown[0]?.score ?? null, top: shown }
  }
}

/** A float32 as a double has digits that mean nothing. */
const shortest = (value: number) => (Number.isInteger(value) ? value : Number(value.toPrecision(7)))

const refusal = (text: string) => new InputError('model-refuses', text)
