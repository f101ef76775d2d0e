import { expect, test } from 'vitest'
import type { ScoresSpec } from '../../src/shared/models/manifest.ts'
import { readScores } from '../../src/worker/items/read-scores.ts'

const spec = (more: Partial<ScoresSpec> & Pick<ScoresSpec, 'task'>): ScoresSpec => ({
  ...{ boxUnit: 'relative', overlap: 0.5, softmax: false },
  ...more,
})
const tensor = (name: string, dims: number[], values: number[]) => ({
  name,
  dims,
  data: Float32Array.from(values),
})
const square = { width: 100, height: 100 }
const seen = { model: square, inside: square, image: square }
const of = { n: 0, of: 1, seen, wish: {} }

test('classes come with their labels, the best first, as many as are wanted', () => {
  const scores = [tensor('s', [2, 3], [0, 0, 0, 0.1, 0.7, 0.2])]
  const labels = ['cat', 'dog', 'owl']
  expect(
    readScores(scores, spec({ task: 'classification', labels }), { ...of, n: 1, of: 2, wish: { top: 2 } }),
  ).toEqual({
    ...{ label: 'dog', score: 0.7 },
    top: [
      { label: 'dog', score: 0.7 },
      { label: 'owl', score: 0.2 },
    ],
  })
  // Without labels a class is its number; of two alike the first.
  expect(readScores(scores, spec({ task: 'classification', softmax: true }), { ...of, of: 2 })).toMatchObject(
    {
      ...{ label: '0', score: 0.333333 },
    },
  )
})

test('logits become probabilities, however large they are', () => {
  const read = (...logits: number[]) =>
    readScores([tensor('s', [1, logits.length], logits)], spec({ task: 'classification', softmax: true }), of)
  const { score, top } = read(1_000, 999) ?? {}
  // What is out of the question is no chance at all.
  expect(read(5, -Infinity)).toMatchObject({ score: 1, top: [{ score: 1 }, { score: 0 }] })
  expect(score).toBeCloseTo(0.731059, 5)
  expect((top as { score: number }[]).reduce((sum, each) => sum + each.score, 0)).toBeCloseTo(1, 5)
})

test('boxes: the better of two that overlap stays, another class beside it too; what is unlikely or background is left out', () => {
  const detector = spec({ task: 'detection', scores: 's', boxes: 'b', background: 0, boxUnit: 'pixels' })
  const boxes = [
    ...[10, 10, 30, 30, 11, 10, 31, 30, 12, 10, 32, 30],
    ...[60, 60, 90, 90, -5, -5, 20, 300, 40, 40, 40, 50],
  ]
  const scores = [...[0, 0.8, 0, 0, 0.9, 0, 0, 0, 0.7], ...[1, 0.4, 0.2, 0, 0, 0.6, 0, 0.99, 0]]
  const found = readScores([tensor('b', [1, 6, 4], boxes), tensor('s', [1, 6, 3], scores)], detector, of)
  expect(found).toEqual({
    count: 3,
    boxes: [
      { label: '1', score: 0.9, x: 11, y: 10, width: 20, height: 20 },
      { label: '2', score: 0.7, x: 12, y: 10, width: 20, height: 20 },
      // Cut at the image's edge.
      { label: '2', score: 0.6, x: 0, y: 0, width: 20, height: 100 },
    ],
  })
  expect(
    readScores([tensor('b', [1, 6, 4], boxes), tensor('s', [1, 6, 3], scores)], detector, {
      ...of,
      wish: { threshold: 0.65 },
    }),
  ).toMatchObject({ count: 2 })
})

test('a vector is all numbers of its item', () => {
  const vectors = [tensor('v', [2, 2], [1, 2, 0, -0.5])]
  expect(readScores(vectors, spec({ task: 'vector' }), { ...of, of: 2, n: 1 })).toEqual({ vector: [0, -0.5] })
  expect(readScores(vectors, spec({ task: 'anomaly' }), { ...of, of: 2 })).toEqual({ score: 1 })
})

test.each([Number.NaN, Infinity])('of %s nothing is said, nor of an item with one such number', (value) => {
  const tensors = [tensor('s', [2, 2], [0.5, 1, 0.5, value]), tensor('b', [2, 8], Array(16).fill(0))]
  const detector = { task: 'detection', scores: 's', boxes: 'b' } as const
  for (const each of [{ task: 'vector' }, { task: 'classification' }, detector] as const) {
    const [good, bad] = [0, 1].map((n) => readScores(tensors, spec(each), { ...of, of: 2, n }))
    expect(good).toBeDefined()
    expect(bad).toBeUndefined()
  }
  expect(readScores([tensor('s', [1], [value])], spec({ task: 'anomaly' }), of)).toBeUndefined()
})

test.each([
  ['no such output', [tensor('other', [1, 2], [1, 2])], 's'],
  ['rows that are not of an item each', [tensor('s', [3], [1, 2, 3])], 's'],
  ['nothing', [], undefined],
])('a model that gives %s is refused', (_, tensors, scores) => {
  const asked = { ...of, of: 2 }
  expect(() => readScores(tensors, spec({ task: 'vector', ...(scores ? { scores } : {}) }), asked)).toThrow(
    /no row for each item/,
  )
})
