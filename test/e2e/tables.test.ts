import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { layout } from '../../src/shared/layout.ts'
import { createRates } from '../../src/shared/rates.ts'
import { runCli } from '../support/cli.ts'
import { type TestStack, startTestStack } from '../support/stack.ts'
import { echo, forest, lookup } from '../support/table-models.ts'

let stack: TestStack
let redis: Redis
let poisoned: string
beforeAll(async () => {
  stack = await startTestStack({ workers: 2, env: { FRAMEFLEET_RECONCILE_SECONDS: '1' } })
  redis = new Redis(stack.stack.env['FRAMEFLEET_REDIS_URL'] ?? '')
  const one = { input: { kind: 'features', count: 1 }, scores: { task: 'anomaly' } }
  for (const name of ['level-a-1', 'level-b-2']) await stack.addModel(forest(), { ...one, name })
  await stack.addModel(forest({ trees: 4 }), { ...one, name: 'double' })
  await stack.addModel(lookup(), { ...one, name: 'lookup' })
  await stack.addModel(echo({ type: 'float32' }), {
    ...{ name: 'echo', input: { kind: 'features', count: 2 }, scores: { task: 'vector' } },
  })
  await put('small/a.csv', small)
  poisoned = await submitPoison()
})
afterAll(async () => {
  redis?.disconnect()
  // An engine that is ended in mid-work leaves its folder to whoever starts next.
  await stack?.ends(poisoned)
  await stack?.stop()
})

/** Rows as sensors send them: of three devices, the last of which nobody knows. */
const small = [
  'TS;Device;Tag;Val;Note',
  '2026-03-01T09:00:00Z;A;1;0.5;"said; so"',
  '2026-03-01T09:00:01Z;B;2;7;',
  '2026-03-01T09:00:02Z;A;1;oops;',
  '2026-03-01T09:00:02Z;A;1;1;again',
  '2026-03-01T09:00:03Z;C;3;1;',
  '2026-03-01T09:00:04Z;A;1;1.5;',
].join('\r\n')
const table = {
  ...{ prefix: 'small/', format: 'csv', delimiter: ';', key: ['TS', 'Device'], features: ['Val'] },
  ...{ partitionBy: ['Device', 'Tag'], time: 'TS' },
}
const put = async (name: string, text: string) => await stack.media.write(name, Buffer.from(text))

type Asked = Record<string, unknown>
type ItemsReport = {
  status: string
  output: { sha256: string }
  warnings: string[]
  items: { total: number; failed: number; failures: { key: string; code: string; message: string }[] }
}
const report = async (id: string) => (await stack.api.report(id)) as unknown as ItemsReport
const submit = async (source: object, more: Asked = {}): Promise<string> =>
  (await stack.api.submit({ source: { table: source }, output: { scores: {} }, ...more } as never)).id
async function output(id: string) {
  expect(await stack.ends(id)).toMatchObject({ status: 'succeeded' })
  const answer = await stack.call('GET', `/v1/jobs/${id}/output`)
  return { text: await answer.text(), type: answer.headers.get('content-type') }
}
const linesOf = (text: string) =>
  text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Record<string, unknown>)

test('each row goes to the model of its partition, and comes out with what it came with', async () => {
  const id = await submit(table, { modelBy: { pattern: 'level-{Device}-{Tag}' } })
  const { text, type } = await output(id)
  expect(type).toMatch(/ndjson/)
  expect(linesOf(text)).toEqual([
    { TS: '2026-03-01T09:00:00Z', Device: 'A', Tag: '1', Val: 0.5, score: 2 },
    { TS: '2026-03-01T09:00:04Z', Device: 'A', Tag: '1', Val: 1.5, score: 4 },
    { TS: '2026-03-01T09:00:01Z', Device: 'B', Tag: '2', Val: 7, score: 6 },
  ])
  const { items, warnings } = await report(id)
  expect(items).toMatchObject({ total: 5, failed: 2 })
  expect(items.failures).toEqual([
    {
      key: '2026-03-01T09:00:02Z|A',
      code: 'bad-row',
      message: 'small/a.csv, line 4: Val is not a number: "oops".',
    },
    {
      key: '2026-03-01T09:00:03Z|C',
      code: 'unknown-model',
      message: 'There is no model for Device C, Tag 3.',
    },
  ])
  expect(warnings).toEqual(['1 row whose key was there already was left out.'])
  expect(await stack.api.job(id)).toMatchObject({
    model: 'level-{Device}-{Tag}',
    frames: { done: 5, total: 5 },
  })
  for (const left of [layout.segments(id), layout.items(id)]) expect(await stack.namesUnder(left)).toEqual([])
  // What the next such table is reckoned by.
  const rates = async () =>
    (await createRates(redis, '{framefleet}').all()).map(({ model, size }) => `${model} ${size}`)
  await expect.poll(rates).toContain('level-{Device}-{Tag} 1x1')
})

test('CSV with the columns and names that were asked for', async () => {
  const scores = { format: 'csv', columns: ['Note', 'TS'], rename: { score: 'Prediction', TS: 'When' } }
  const { partitionBy: _, ...whole } = table
  const { text, type } = await output(await submit(whole, { model: 'double', output: { scores } }))
  expect(type).toMatch(/csv/)
  expect(text).toBe(
    [
      'Note,When,Prediction',
      'said; so,2026-03-01T09:00:00Z,4',
      ',2026-03-01T09:00:01Z,12',
      ',2026-03-01T09:00:03Z,4',
      ',2026-03-01T09:00:04Z,8',
      '',
    ].join('\n'),
  )
})

test('columns may have any name, and stand in CSV where they stood, or where they were asked for', async () => {
  await put('numbered/a.csv', 'id,1,0,__proto__\na,0.5,7,b\n')
  const source = { prefix: 'numbered/', format: 'csv', key: ['id'], features: ['0', '1'] }
  const csv = async (scores: object) =>
    (await output(await submit(source, { model: 'echo', output: { scores: { format: 'csv', ...scores } } })))
      .text
  expect(await csv({})).toBe('id,1,0,vector\na,0.5,7,"[7,0.5]"\n')
  expect(await csv({ columns: ['id', '1', '__proto__'], rename: { vector: '0' } })).toBe(
    'id,1,__proto__,0\na,0.5,b,"[7,0.5]"\n',
  )
})

test('two models score each row', async () => {
  await put('pairs/a.ndjson', '{"id":1,"x":0.5}\n{"id":2,"x":null}\n{"id":3,"x":"2.5"}\n')
  const source = { prefix: 'pairs/', format: 'ndjson', key: ['id'], features: ['x'] }
  const id = await submit(source, { models: ['double', 'lookup'] })
  expect(linesOf((await output(id)).text)).toEqual([
    { id: 1, x: 0.5, score: 4, model: 'double' },
    { id: 3, x: 2.5, score: 12, model: 'double' },
    { id: 1, x: 0.5, score: 10, model: 'lookup' },
    { id: 3, x: 2.5, score: 30, model: 'lookup' },
  ])
  // What is wrong with a row is so for each.
  expect((await report(id)).items).toMatchObject({ total: 6, failed: 2 })
  expect(await stack.api.job(id)).toMatchObject({ model: 'double@1, lookup@1' })
})

test('more failed rows than the job allows end it, with an example', async () => {
  const id = await submit(table, { modelBy: { pattern: 'level-{Device}-{Tag}' }, errorThreshold: 1 })
  const ended = await stack.ends(id)
  expect(ended).toMatchObject({ status: 'failed', error: { code: 'too-many-errors' } })
  expect(ended.error?.message).toMatch(/2 items failed.*\|[AC]/)
})

test.each([
  ['nothing is there', 'quiet/', 'The table has no rows: nothing is there.'],
  ['no row is within the hour', 'small/', '6 rows outside the window of time were left out.'],
])('a table of which %s is a quiet hour, and no failure', async (_, prefix, warning) => {
  const window = { from: '2026-03-02T09:00:00Z', to: '2026-03-02T10:00:00Z' }
  const source = { ...table, ...window, prefix }
  const csv = await submit(source, { model: 'double', output: { scores: { format: 'csv' } } })
  const { text } = await output(csv)
  expect(text).toBe('')
  expect(await report(csv)).toMatchObject({ items: { total: 0, failed: 0 }, warnings: [warning] })
  expect(await stack.api.job(csv)).toMatchObject({ frames: { done: 0, total: 0 } })
})

test('a worker that is killed costs no row, nor does the loss of all that Redis held', async () => {
  const rows = Array.from({ length: 1_600 }, (_, i) => `${i},${i / 7},${i % 13}\n`)
  await put('many/a.csv', `id,a,b\n${rows.join('')}`)
  const source = { prefix: 'many/', format: 'csv', key: ['id'], features: ['a', 'b'] }
  const job = { model: 'echo', batch: { items: 10 } }
  const disturbed = await submit(source, job)
  await stack.until(disturbed, ({ frames }) => frames.done >= 40)
  const busy = await stack.busyWorker()
  busy.process.kill('SIGKILL')
  await stack.until(disturbed, ({ frames }) => frames.done >= 400)
  await redis.flushall()
  const undisturbed = await submit(source, job)
  expect(linesOf((await output(undisturbed)).text)).toHaveLength(1_600)
  expect(await stack.ends(disturbed)).toMatchObject({
    ...{ status: 'succeeded', frames: { done: 1_600, total: 1_600 } },
  })
  expect((await report(disturbed)).output.sha256).toBe((await report(undisturbed)).output.sha256)
})

test('the command line submits a job that a file describes, with a table from here', async () => {
  const [job, file, out] = ['job.json', 'levels.csv', 'scores.csv'].map((name) => join(stack.dir, name)) as [
    ...[string, string, string],
  ]
  const described = {
    source: { table: { format: 'csv', key: ['id'], features: ['x'] } },
    ...{ model: 'double', output: { scores: { format: 'csv' } } },
  }
  await writeFile(job, JSON.stringify(described))
  await writeFile(file, gzipSync('id,x\none,0.5\n'))
  const env = { FRAMEFLEET_API_URL: stack.stack.apiUrl, FRAMEFLEET_API_TOKEN: stack.stack.token }
  expect(await runCli(['submit', file, '--job', job, '--wait', '--out', out], env)).toMatchObject({ code: 0 })
  expect(await readFile(out, 'utf8')).toBe('id,x,score\none,0.5,4\n')
  const both = await runCli(['submit', '--job', job, '--model', 'double'], env)
  expect([both.code, both.stderr]).toEqual([2, expect.stringContaining('--job')])
  const none = await runCli(['submit', '--job', file], env)
  expect([none.code, none.stderr]).toEqual([1, expect.stringContaining('holds no JSON')])
})

const features = { prefix: 'small/', format: 'csv', key: ['TS'], features: ['Val'] }
const by = (pattern: string) => ({ modelBy: { pattern } })
test.each<[string, object, Asked, string]>([
  ['a model that takes images', features, { model: 'relief' }, 'model-mismatch'],
  ['a model of other features', features, { model: 'echo' }, 'model-mismatch'],
  ['no such model', features, { models: ['double', 'treble'] }, 'unknown-model'],
  ['a model twice', features, { models: ['double', 'double@1'] }, 'bad-model'],
  ['a pattern without partitions', features, by('level-{Device}'), 'bad-model'],
  ['a pattern of another column', { ...features, partitionBy: ['Tag'] }, by('level-{Device}'), 'bad-model'],
  ['a feature that is text', { ...features, columns: { Val: 'text' } }, { model: 'double' }, 'bad-request'],
  [
    'a window without a time',
    { ...features, from: '2026-03-01T00:00:00Z' },
    { model: 'double' },
    'bad-request',
  ],
  ['an output that is a video', features, { model: 'double', output: { codec: 'h264' } }, 'bad-output'],
  ['names that are one', features, renamed({ score: 'TS' }), 'bad-output'],
  ['a name for what is not there', features, renamed({ label: 'x' }), 'bad-output'],
  ['a prefix of the system’s own', { ...features, prefix: 'jobs/' }, { model: 'double' }, 'reserved-name'],
])('a table is refused with %s', async (_, source, more, code) => {
  const body = JSON.stringify({ source: { table: source }, output: { scores: {} }, ...more })
  const headers = { 'content-type': 'application/json' }
  const answer = await stack.call('POST', '/v1/jobs', { body, headers })
  expect([((await answer.json()) as { code: string }).code, answer.status]).toEqual([
    code,
    code === 'bad-request' && !('columns' in source) ? 400 : 422,
  ])
})
function renamed(rename: object) {
  return { model: 'double', output: { scores: { rename } } }
}

test('images are refused with a model of rows', async () => {
  const request = { source: { images: { prefix: 'faces/' } }, model: 'double', output: { scores: {} } }
  await expect(stack.api.submit(request)).rejects.toMatchObject({ code: 'model-mismatch' })
})

test('a file that has no such columns fails with those that are there', async () => {
  const id = await submit({ ...features, features: ['Value'], delimiter: ';' }, { model: 'double' })
  expect(await stack.ends(id)).toMatchObject({
    status: 'failed',
    error: {
      code: 'no-such-column',
      message: 'The table small/a.csv has no column Value. It has: TS, Device, Tag, Val, Note.',
    },
  })
})

/** Whole runs fail by one row of it; it takes some pauses until that row is found. */
async function submitPoison(): Promise<string> {
  const rows = Array.from({ length: 40 }, (_, i) => `${i},${i === 17 ? 99 : i % 4}\n`)
  await put('poison/a.csv', `id,place\n${rows.join('')}`)
  const source = { prefix: 'poison/', format: 'csv', key: ['id'], features: ['place'] }
  return await submit(source, { model: 'lookup' })
}

test('a row that the model fails on fails alone', async () => {
  expect(linesOf((await output(poisoned)).text)).toHaveLength(39)
  expect((await report(poisoned)).items.failures).toEqual([
    expect.objectContaining({ key: '17', code: 'unscorable' }),
  ])
})
