import { expect, test } from 'vitest'
import type { PartLine } from '../../src/shared/items/item.ts'
import type { ScoresSpec } from '../../src/shared/models/manifest.ts'
import { namedValues } from '../../src/worker/items/named-values.ts'
import { rowReader } from '../../src/worker/items/read-rows.ts'
import { specOf } from '../support/jobs.ts'

const spec = { boxUnit: 'relative', overlap: 0.5, softmax: false } as const
const tensor = (data: Float32Array | Float64Array | BigInt64Array) => [{ name: 'scores', dims: [], data }]

test('a score is the number that the model gave, a float to its seven digits', () => {
  const read = rowReader(
    tensor(Float32Array.of(0.1, -1, 1.5e-12, NaN, -Infinity)),
    { ...spec, task: 'anomaly' },
    { rows: 5 },
  )
  expect([0, 1, 2, 3, 4].map(read)).toEqual([
    { score: 0.1 },
    { score: -1 },
    { score: 1.5e-12 },
    undefined,
    undefined,
  ])
  const exact = rowReader(tensor(Float64Array.of(0.1 + 0.2)), { ...spec, task: 'anomaly' }, { rows: 1 })
  expect(exact(0)).toEqual({ score: 0.30000000000000004 })
  expect(rowReader(tensor(BigInt64Array.of(-1n)), { ...spec, task: 'anomaly' }, { rows: 1 })(0)).toEqual({
    score: -1,
  })
})

test('classes come with their labels, the best first, as many as are wanted', () => {
  const labels = ['a', 'b', 'c']
  const task = 'classification'
  const data = tensor(Float32Array.of(0.25, 0.5, 0.25, 0, 0, NaN))
  const read = rowReader(data, { ...spec, task, labels }, { rows: 2, top: 2 })
  expect(read(0)).toEqual({
    ...{ label: 'b', score: 0.5 },
    top: [
      { label: 'b', score: 0.5 },
      { label: 'a', score: 0.25 },
    ],
  })
  expect(read(1)).toBeUndefined()
  const logits = rowReader(
    tensor(Float64Array.of(0, Math.log(3))),
    { ...spec, task, softmax: true },
    { rows: 1 },
  )
  expect(logits(0)).toMatchObject({ label: '1', score: 0.75 })
  const vectors = rowReader(tensor(Float32Array.of(1, 2.5, 3, 4)), { ...spec, task: 'vector' }, { rows: 2 })
  expect([vectors(0), vectors(1)]).toEqual([{ vector: [1, 2.5] }, { vector: [3, 4] }])
})

type Refused = [string, Float32Array, Pick<ScoresSpec, 'task' | 'labels'>, number, RegExp]

test.each([
  ['no number for each row', Float32Array.of(1, 2, 3), { task: 'anomaly' }, 2, /gives 3 numbers for 2 rows/],
  ['nothing', new Float32Array(), { task: 'vector' }, 2, /gives 0 numbers for 2 rows/],
  ['two where one is an anomaly', Float32Array.of(1, 2), { task: 'anomaly' }, 1, /gives 2 numbers for a row/],
  [
    'more classes than labels',
    Float32Array.of(1, 2),
    { task: 'classification', labels: ['a'] },
    1,
    /gives 2 classes, its manifest has 1 labels/,
  ],
] satisfies Refused[])('a model is refused that gives %s', (_, data, task, rows, sentence) => {
  expect(() => rowReader(tensor(data), { ...spec, ...task }, { rows })).toThrow(
    expect.objectContaining({ code: 'model-refuses', message: expect.stringMatching(sentence) }),
  )
})

function namer(rename: Record<string, string> | undefined, models?: string[]) {
  const job = specOf()
  job.request.output = { scores: { format: 'csv', ...(rename ? { rename } : {}) } }
  if (models) job.request.models = models
  return namedValues(job, 'svm')
}
const line: PartLine = { key: 'a', value: { id: 'a', x: 1, score: -1 } }
const columns = (named: PartLine) => ('value' in named ? JSON.stringify(named.value) : undefined)

test('columns keep their places under other names, and the model stands last where there are several', () => {
  expect(columns(namer(undefined)(line))).toBe('{"id":"a","x":1,"score":-1}')
  expect(columns(namer({ score: 'Prediction', id: 'TS' })(line))).toBe('{"TS":"a","x":1,"Prediction":-1}')
  expect(columns(namer({ id: 'x', x: 'id' })(line))).toBe('{"x":"a","id":1,"score":-1}')
  const both = namer({ model: 'Model' }, ['svm', 'forest'])
  expect(columns(both(line))).toBe('{"id":"a","x":1,"score":-1,"Model":"svm"}')
  expect(columns(namer(undefined, ['svm'])(line))).toBe('{"id":"a","x":1,"score":-1}')
  const failed: PartLine = { key: 'a', error: { code: 'bad-row', message: 'no' } }
  expect(both(failed)).toBe(failed)
})

test('two columns never come to one name', () => {
  const same = expect.objectContaining({
    code: 'bad-output',
    message: expect.stringMatching(/would be called x:/),
  })
  expect(() => namer({ id: 'x' })(line)).toThrow(same)
  const model: PartLine = { key: 'a', value: { model: 'mine', score: 1 } }
  expect(() => namer(undefined, ['svm', 'forest'])(model)).toThrow(/would be called model:/)
})
