import type { PartLine } from '../../shared/items/item.ts'
import type { ScoresSpec } from '../../shared/models/manifest.ts'
import { InputError } from '../../shared/errors.ts'
import type { ScoreTensor } from '../inference-thread.ts'

type Value = Extract<PartLine, { value: object }>['value']

/** Where the model's picture lies in the item's own: both in pixels, of the upright image. */
export type Seen = {
  /** What the model was given, padding and all. */
  model: { width: number; height: number }
  /** The part of it that is the image, from its upper left. */
  inside: { width: number; height: number }
  image: { width: number; height: number }
}

type Wish = { top?: number | undefined; threshold?: number | undefined }

/** Boxes of one item at most, the best first. */
const mostBoxes = 1_000

/**
 * What a model says of the n-th of the `of` items of a run:
 *
 *   classification   { label, score, top: [{ label, score } …] }, the best first
 *   detection        { count, boxes: [{ label, score, x, y, width, height } …] }, in pixels of the upright image, the best first
 *   vector           { vector: [number …] }
 *   anomaly          { score }: the model's own number
 *
 * Undefined where that is no finite number, which JSON has no word for and nobody's score is. Throws InputError `model-refuses`
 * where the model gives something else.
 */
export function readScores(
  tensors: ScoreTensor[],
  spec: ScoresSpec,
  { n, of, seen, wish }: { n: number; of: number; seen: Seen; wish: Wish },
): Value | undefined {
  const scores = rowOf(tensors, spec.scores, n, of)
  if (spec.task === 'vector') return scores.every(Number.isFinite) ? { vector: scores.map(short) } : undefined
  if (spec.task === 'anomaly') {
    const [score] = scores
    return Number.isFinite(score) ? { score: short(score as number) } : undefined
  }
  const labelOf = (index: number) => spec.labels?.[index] ?? String(index)
  if (spec.task === 'classification') {
    const chances = spec.softmax ? softmax(scores) : scores
    if (!chances.every(Number.isFinite)) return undefined
    const top = best(chances, wish.top ?? 5).map((index) => ({
      label: labelOf(index),
      score: short(chances[index] ?? 0),
    }))
    return { label: top[0]?.label ?? null, score: top[0]?.score ?? null, top }
  }
  const boxes = rowOf(tensors, spec.boxes, n, of)
  // Of NaN nothing is likely: it would pass for an image in which there is nothing.
  if (!scores.every(isNumber) || !boxes.every(isNumber)) return undefined
  const found = detections({ scores, boxes, spec, seen, threshold: wish.threshold ?? 0.5 })
  const shown = found.map(({ class: index, ...box }) => ({ label: labelOf(index), ...box }))
  return { count: shown.length, boxes: shown }
}

function rowOf(tensors: ScoreTensor[], name: string | undefined, n: number, of: number): number[] {
  const tensor = name === undefined ? tensors[0] : tensors.find((each) => each.name === name)
  const length = (tensor?.data.length ?? 0) / of
  if (!tensor || !Number.isInteger(length) || length === 0)
    throw new InputError('model-refuses', `The model's output ${name ?? ''} has no row for each item.`)
  return Array.from(tensor.data.subarray(n * length, (n + 1) * length), Number)
}

const short = (value: number) => Math.round(value * 1e6) / 1e6
/** What is unlikely without end is left out as anything else that is unlikely. */
const isNumber = (value: number) => !Number.isNaN(value) && value !== Infinity

export function softmax(values: number[]): number[] {
  const most = values.reduce((a, b) => Math.max(a, b), -Infinity)
  const powers = values.map((value) => Math.exp(value - most))
  const sum = powers.reduce((a, b) => a + b, 0)
  return powers.map((power) => power / sum)
}

export const best = (values: number[], most: number): number[] =>
  values
    .map((_, index) => index)
    .sort((a, b) => (values[b] ?? 0) - (values[a] ?? 0) || a - b)
    .slice(0, most)

type Found = { class: number; score: number; x: number; y: number; width: number; height: number }
type Detecting = { scores: number[]; boxes: number[]; spec: ScoresSpec; seen: Seen; threshold: number }

function detections({ scores, boxes, spec, seen, threshold }: Detecting): Found[] {
  const count = boxes.length / 4
  const classes = scores.length / count
  if (!Number.isInteger(count) || !Number.isInteger(classes))
    throw new InputError('model-refuses', 'The model gives no score for each of its boxes.')
  const { model, inside, image } = seen
  const unit = spec.boxUnit === 'relative' ? model : { width: 1, height: 1 }
  const x = (value = 0) => clip((value * unit.width * image.width) / inside.width, image.width)
  const y = (value = 0) => clip((value * unit.height * image.height) / inside.height, image.height)
  const likely: Found[] = []
  for (let box = 0; box < count; box++) {
    for (let each = 0; each < classes; each++) {
      const score = scores[box * classes + each] ?? 0
      if (each === spec.background || !(score >= threshold)) continue
      const [left, top] = [x(boxes[box * 4]), y(boxes[box * 4 + 1])]
      const [width, height] = [x(boxes[box * 4 + 2]) - left, y(boxes[box * 4 + 3]) - top]
      if (width > 0 && height > 0) likely.push({ class: each, score, x: left, y: top, width, height })
    }
  }
  likely.sort((a, b) => b.score - a.score)
  const kept: Found[] = []
  for (const each of likely) {
    if (kept.length >= mostBoxes) break
    const hidden = kept.some((other) => other.class === each.class && shared(other, each) > spec.overlap)
    if (!hidden) kept.push(each)
  }
  return kept.map((box) => ({
    ...{ class: box.class, score: short(box.score), x: tenth(box.x), y: tenth(box.y) },
    ...{ width: tenth(box.width), height: tenth(box.height) },
  }))
}

const clip = (value: number, most: number) => Math.min(most, Math.max(0, value))
const tenth = (value: number) => Math.round(value * 10) / 10

/** What two boxes share, over what they cover. */
function shared(a: Found, b: Found): number {
  const width = Math.min(a.x + a.width, b.x + b.width) - Math.max(a.x, b.x)
  const height = Math.min(a.y + a.height, b.y + b.height) - Math.max(a.y, b.y)
  const both = Math.max(0, width) * Math.max(0, height)
  return both / (a.width * a.height + b.width * b.height - both)
}
