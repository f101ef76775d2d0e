import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { sensorOnnx } from '../../examples/sensors/sensor-model.ts'
import { PoisonError, TransientError } from '../../src/shared/errors.ts'
import { createFileCache } from '../../src/shared/file-cache.ts'
import type { Item } from '../../src/shared/items/item.ts'
import { parseManifest } from '../../src/shared/models/manifest.ts'
import { type ModelRef, createModelStore } from '../../src/shared/models/model-store.ts'
import { isolate } from '../../src/worker/isolate.ts'
import type { ItemsJob } from '../../src/worker/items/item-scorer.ts'
import { createRowModels } from '../../src/worker/items/row-models.ts'
import { createRowScorer } from '../../src/worker/items/score-rows.ts'
import { startThread } from '../../src/worker/model-thread.ts'
import type { FromRows, ToRows } from '../../src/worker/rows-thread.ts'
import { specOf } from '../support/jobs.ts'
import { silent } from '../support/services.ts'
import { classifier, echo, forest, lookup, quotient } from '../support/table-models.ts'
import { tempDir } from '../support/temp-dir.ts'
import { closedAfterEach, useServices } from '../support/use-services.ts'

const services = useServices()
const open = closedAfterEach()
const dir = tempDir()

type Features = { name: string; count: number; type?: string; scores?: object; bytes: Uint8Array }

/** Models as they lie in a real store, and what was fetched of them. */
async function startModels({ maxBytes = 1e9 } = {}) {
  const store = createModelStore(await services.container())
  const fetched: string[] = []
  const models = {
    fetch: async (...given: Parameters<typeof store.fetch>) => {
      fetched.push(given[0].name)
      return await store.fetch(...given)
    },
  }
  const cache = createFileCache({ dir: join(dir, randomUUID()), maxBytes: 1e9 })
  const wish = { device: 'auto', deviceId: 0, threads: 2 } as const
  const rowModels = createRowModels({ models, cache, log: silent, wish, maxBytes })
  open.push(rowModels)
  const add = async ({ name, count, type, scores = { task: 'anomaly' }, bytes }: Features) => {
    const input = { kind: 'features', count, ...(type ? { type } : {}) }
    return await store.put(parseManifest({ name, input, scores }, name), bytes)
  }
  return { add, store, fetched, rowModels, score: createRowScorer({ rowModels }) }
}

type Asked = { model: ModelRef; items: Item[]; features: string[] } & Partial<ItemsJob>

function jobOf({ model, items, features, ...more }: Asked): ItemsJob {
  const spec = specOf()
  spec.request.source = { table: { url: 'https://a.example/t.csv', format: 'csv', key: ['id'], features } }
  spec.request.output = { scores: { format: 'ndjson' } }
  return {
    ...{ spec, items, group: { model }, queries: [], through: new Set(), trial: false, small: false },
    ...{
      dir,
      signal: new AbortController().signal,
      log: silent,
      onScoring() {},
      onItem() {},
      onFetched() {},
    },
    keep: async () => await Promise.reject(new Error('rows keep no images')),
    ...more,
  }
}

const rowsOf = (values: number[], column = 'x'): Item[] =>
  values.map((value, i) => ({ key: String(i), row: { id: String(i), [column]: value } }))

test('each kind of model says of each row what it is to say, behind what the row carries', async () => {
  const { add, score } = await startModels()
  const svm = { vectors: [[0, 0, 1]], weights: [1], rho: 0.5, gamma: 0.5 }
  const scale = { offset: [10, 0, 0], scale: [1, 1, 1] }
  const outlier = await add({ name: 'svm', count: 2, bytes: sensorOnnx({ scale, svm }) })
  const items: Item[] = [
    { key: 'a', row: { id: 'a', Val: 10, Hour: 0 } },
    { key: 'b', row: { Val: 99, Hour: 12, id: 'b' } },
  ]
  const sensors = await score(jobOf({ model: outlier, items, features: ['Val', 'Hour'] }))
  expect(sensors.lines).toEqual([
    { key: 'a', value: { id: 'a', Val: 10, Hour: 0, score: 1 } },
    { key: 'b', value: { Val: 99, Hour: 12, id: 'b', score: -1 } },
  ])
  expect(sensors).toMatchObject({ device: 'cpu', size: '2x1' })

  const labels = ['low', 'middle', 'high']
  const scores = { task: 'classification', scores: 'probabilities', labels }
  const classes = await add({ name: 'classes', count: 2, scores, bytes: classifier() })
  const two: Item[] = [-3, 3].map((x) => ({ key: `${x}`, row: { x, y: 0 } }))
  const said = await score(jobOf({ model: classes, items: two, features: ['x', 'y'] }))
  const e = [Math.exp(7), Math.exp(0.5), Math.exp(-7)] as const
  const sum = e[0] + e[1] + e[2]
  expect(said.lines[0]).toEqual({
    key: '-3',
    value: {
      ...{ x: -3, y: 0, label: 'low', score: expect.closeTo(e[0] / sum, 6) },
      top: [
        { label: 'low', score: expect.closeTo(e[0] / sum, 6) },
        { label: 'middle', score: expect.closeTo(e[1] / sum, 6) },
        { label: 'high', score: expect.closeTo(e[2] / sum, 6) },
      ],
    },
  })
  expect(said.lines[1]).toMatchObject({ value: { label: 'high' } })

  const trees = await add({ name: 'trees', count: 1, bytes: forest({ trees: 3, deep: 4 }) })
  const heights = await score(jobOf({ model: trees, items: rowsOf([-1, 0.5, 2.5, 9]), features: ['x'] }))
  expect(heights.lines.map((line) => 'value' in line && line.value['score'])).toEqual([0, 3, 9, 12])
})

test('doubles come and go as doubles; one row a run where the model takes no more', async () => {
  const { add, score } = await startModels()
  const exact = 0.1 + 0.2
  const items: Item[] = Array.from({ length: 5 }, (_, i) => ({ key: `${i}`, row: { a: exact, b: i === 2 } }))
  const vector = { task: 'vector' }
  for (const n of ['n', 1]) {
    const model = await add({
      name: `echo-${n}`,
      count: 2,
      type: 'float64',
      scores: vector,
      bytes: echo({ n }),
    })
    const { lines } = await score(jobOf({ model, items, features: ['a', 'b'] }))
    expect(lines.map((line) => 'value' in line && line.value['vector'])).toEqual([
      ...[
        [exact, 0],
        [exact, 0],
        [exact, 1],
      ],
      ...[
        [exact, 0],
        [exact, 0],
      ],
    ])
  }
})

test('more rows than a run takes come out in their order, whole', async () => {
  const { add, score } = await startModels()
  const model = await add({ name: 'trees', count: 1, bytes: forest({ trees: 1, deep: 100 }) })
  const done: number[] = []
  const items = rowsOf(Array.from({ length: 5_000 }, (_, i) => (i % 101) - 0.5))
  const job = jobOf({ model, items, features: ['x'], onItem: (count) => done.push(count) })
  const { lines } = await score(job)
  expect(lines).toEqual(items.map(({ key, row }, i) => ({ key, value: { ...row, score: i % 101 } })))
  expect(done).toEqual([2_048, 4_096, 5_000])
  const small = await score({ ...job, small: true })
  expect(small.lines).toEqual(lines)
})

test('a row that can not be scored fails alone: by the source, by a gap, by what the model gives for it', async () => {
  const { add, score } = await startModels()
  const model = await add({ name: 'quotient', count: 2, bytes: quotient() })
  const error = { code: 'bad-row', message: 'Line 3: x is "abc".' }
  const items: Item[] = [
    { key: 'good', row: { x: 1, y: 2 } },
    { key: 'source', row: { x: null, y: 2 }, error },
    { key: 'gap', row: { x: 1 } },
    { key: 'infinite', row: { x: 1, y: 0 } },
    { key: 'none', row: { x: 0, y: 0 } },
    { key: 'last', row: { x: 3, y: -2 } },
  ]
  const { lines } = await score(jobOf({ model, items, features: ['x', 'y'] }))
  expect(lines).toEqual([
    { key: 'good', value: { x: 1, y: 2, score: 0.5 } },
    { key: 'source', error },
    { key: 'gap', error: { code: 'bad-row', message: 'Its y is no number.' } },
    { key: 'infinite', error: expect.objectContaining({ code: 'no-number' }) },
    { key: 'none', error: expect.objectContaining({ code: 'no-number' }) },
    { key: 'last', value: { x: 3, y: -2, score: -1.5 } },
  ])
})

test('rows of a partition without a model need none', async () => {
  const { score, fetched } = await startModels()
  const error = { code: 'unknown-model', message: 'There is no model svm-fan.' }
  const items = rowsOf([1, 2]).map((item) => ({ ...item, error }))
  const model = { name: 'svm-{Device}', version: '', sha256: '' }
  const { lines } = await score(jobOf({ model, items, features: ['x'] }))
  expect(lines).toEqual(items.map(({ key }) => ({ key, error })))
  expect(fetched).toEqual([])
})

test('the row on which a model fails is found by halving, and its batch comes out without it', async () => {
  const { add, score } = await startModels()
  const model = await add({ name: 'lookup', count: 1, bytes: lookup() })
  const items = rowsOf([0, 1, 2, 3, 99, 1, 0])
  const reached: string[] = []
  const job = jobOf({ model, items, features: ['x'], onScoring: () => reached.push('scoring') })
  await expect(score(job)).rejects.toThrow(PoisonError)
  expect(reached).not.toEqual([])
  // As a worker that suspects its batch asks: first what is blank, then halves.
  const trial = async ({ first, count }: { first: number; count: number }, through: number[] = []) =>
    await score({
      ...{ ...job, small: true, trial: true, items: items.slice(first, first + count) },
      through: new Set(through.map((each) => each - first)),
    }).then(
      () => undefined,
      (error: unknown) => error as Error,
    )
  expect(await trial({ first: 4, count: 1 }, [4])).toBeUndefined()
  const found = await isolate({ first: 0, count: items.length }, trial, 5)
  expect(found.frames).toEqual([4])
  const { lines } = await score({ ...job, small: true, through: new Set(found.frames) })
  expect(lines.map((line) => ('error' in line ? line.error.code : line.value['score']))).toEqual([
    10,
    20,
    30,
    40,
    'unscorable',
    20,
    10,
  ])
})

test('what is longest unused makes room and comes back; what is in use stays', async () => {
  const { add, score, rowModels, fetched } = await startModels({ maxBytes: 10e6 })
  const [a, b, c] = [
    await add({ name: 'a', count: 1, bytes: forest({ trees: 1 }) }),
    await add({ name: 'b', count: 1, bytes: forest({ trees: 2 }) }),
    await add({ name: 'c', count: 1, bytes: forest({ trees: 3 }) }),
  ]
  const ask = async (model: ModelRef) => {
    const { lines } = await score(jobOf({ model, items: rowsOf([1.5]), features: ['x'] }))
    return lines.map((line) => 'value' in line && line.value['score'])
  }
  expect([await ask(a), await ask(b), await ask(a), await ask(c), await ask(a), await ask(b)]).toEqual([
    ...[[2], [4], [2], [6], [2], [4]],
  ])
  expect(fetched).toEqual(['a', 'b', 'c', 'b'])
  expect(rowModels.held()).toBeLessThan(10e6)

  const options = { dir, onScoring() {} }
  using first = await rowModels.open(a, options)
  using second = await rowModels.open(b, options)
  using third = await rowModels.open(c, options)
  expect(rowModels.held()).toBeGreaterThan(10e6)
  const row = Float32Array.of(1.5)
  const said = await Promise.all([first, second, third].map(async (model) => await model.run(row, 1)))
  expect(said.map(([tensor]) => tensor?.data[0])).toEqual([2, 4, 6])
})

test('a model of images, one of other features and one that is broken are refused with one sentence', async () => {
  const { add, score } = await startModels()
  const items = rowsOf([1])
  const two = await add({ name: 'two', count: 2, bytes: quotient() })
  await expect(score(jobOf({ model: two, items, features: ['x'] }))).rejects.toThrow(
    expect.objectContaining({
      code: 'model-mismatch',
      message: 'The model two takes 2 features, the job names 1.',
    }),
  )
  // What it says of itself is whole; what it does is no operator that there is.
  const broken = Buffer.from(forest()).toString('latin1').replaceAll('TreeEnsemble', 'ThreeEnsembl')
  const model = await add({ name: 'broken', count: 1, bytes: Buffer.from(broken, 'latin1') })
  await expect(score(jobOf({ model, items, features: ['x'] }))).rejects.toThrow(
    expect.objectContaining({
      code: 'model-refuses',
      message: expect.stringMatching(/^The model broken can't be loaded: /),
    }),
  )
})

test('a model whose thread died while it was fetched is loaded once, for whoever asks next', async () => {
  const { add, store } = await startModels()
  const model = await add({ name: 'a', count: 1, bytes: forest({ trees: 2 }) })
  const gate = Promise.withResolvers<void>()
  const startRows = () => startThread<{ asks: ToRows; answers: FromRows }>('rows-thread')
  const threads: ReturnType<typeof startRows>[] = []
  const loads: string[] = []
  function start() {
    const thread = startRows()
    threads.push(thread)
    return {
      ...thread,
      ask: async (message: ToRows) => {
        if ('load' in message) loads.push(message.load)
        return await thread.ask(message)
      },
    }
  }
  const rowModels = createRowModels({
    models: {
      fetch: async (...given) => {
        await gate.promise
        return await store.fetch(...given)
      },
    },
    cache: createFileCache({ dir: join(dir, randomUUID()), maxBytes: 1e9 }),
    ...{ log: silent, wish: { device: 'auto', deviceId: 0, threads: 1 }, maxBytes: 1e9, start },
  })
  open.push(rowModels)
  const options = { dir, onScoring() {} }
  const early = rowModels.open(model, options)
  await threads[0]?.close()
  await expect.poll(() => threads[0]?.broken()).toBe(true)
  const late = rowModels.open(model, options)
  gate.resolve()
  await expect(early).rejects.toThrow(TransientError)
  using opened = await late
  const [said] = await opened.run(Float32Array.of(1.5), 1)
  expect([threads.length, loads.length, said?.data[0]]).toEqual([2, 1, 4])
})
