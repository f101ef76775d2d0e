import { randomUUID } from 'node:crypto'
import { mkdtemp, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { openItemSource } from '../../src/producer/items/open-source.ts'
import { planItems } from '../../src/producer/items/plan-items.ts'
import { connectAccount } from '../../src/shared/blob-store.ts'
import { TransientError } from '../../src/shared/errors.ts'
import { createFileCache } from '../../src/shared/file-cache.ts'
import { Item } from '../../src/shared/items/item.ts'
import { type ItemsPlan, fileOf, groupOf } from '../../src/shared/items/items-plan.ts'
import { TableSource } from '../../src/shared/items/request.ts'
import type { JobRequest } from '../../src/shared/job.ts'
import { layout } from '../../src/shared/layout.ts'
import { parseManifest } from '../../src/shared/models/manifest.ts'
import { type ModelRef, createModelStore } from '../../src/shared/models/model-store.ts'
import { createSourceReader } from '../../src/shared/source.ts'
import { specOf } from '../support/jobs.ts'
import { tempDir } from '../support/temp-dir.ts'
import { useServices } from '../support/use-services.ts'

const services = useServices()
const dir = tempDir()
const { signal } = new AbortController()

/** A storage account with these files, and how a table in it is planned. */
async function start(files: Record<string, string | Buffer> = {}, { maxSourceBytes = 100_000 } = {}) {
  const media = await services.container()
  const models = createModelStore(await services.container())
  for (const [name, bytes] of Object.entries(files)) await media.write(name, Buffer.from(bytes))
  const cache = createFileCache({ dir: join(dir, randomUUID()), maxBytes: 1e9 })
  const sources = createSourceReader(media, cache)
  const addModel = async (name: string, count = 1) =>
    await models.put(
      parseManifest({ name, input: { kind: 'features', count }, scores: { task: 'anomaly' } }, name),
      Buffer.from(name),
    )
  const plan = async (table: object, more: Partial<JobRequest> = {}, chosen: Chosen = {}) => {
    const spec = specOf()
    const parsed = TableSource.parse({ format: 'csv', key: ['id'], features: ['x'], ...table })
    spec.request = { ...spec.request, ...more, source: { table: parsed } }
    if (parsed.url) spec.source = await sources.look(parsed.url)
    const secret = { sourceQuery: '', outputQuery: '', styleQuery: '' }
    const deps = {
      media,
      sources,
      models,
      maxSourceBytes,
      policy: { mediaUrl: media.url(''), allowed: [] },
    }
    const own = await mkdtemp(join(dir, 'job-'))
    spec.models = chosen.models
    const source = await openItemSource(deps, { spec, secret, signal, dir: own })
    const made = await planItems(media, source, { jobId: spec.id, size: 10, dir: own, signal, ...chosen })
    const itemsOf = async (batch: number): Promise<Item[]> => {
      const name = layout.itemsOf(spec.id, made.folder, fileOf(made, batch))
      const lines = String(await media.read(name))
        .trim()
        .split('\n')
      return lines.map((line) => Item.parse(JSON.parse(line)))
    }
    const items = async () =>
      (await Promise.all(made.batches.map(async (_, batch) => await itemsOf(batch)))).flat()
    return { ...{ plan: made, spec, items, itemsOf }, of: (batch: number) => groupOf(spec, made, batch) }
  }
  return { media, models, addModel, plan }
}
type Chosen = { size?: number; models?: ModelRef[] }

const rows = (from: number, to: number) =>
  `id,x\n${Array.from({ length: to - from }, (_, i) => `${from + i},${(from + i) / 2}\n`).join('')}`
const keys = (items: Item[]) => items.map(({ key }) => key)
const numbers = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => String(from + i))

test('the files of a prefix are one table, in order of names; those that are no one’s rows are passed over', async () => {
  const { plan, media } = await start({
    'in/b.csv.gz': gzipSync(rows(20, 25)),
    // Columns in another order: rows come out as those of the first file.
    'in/a.csv': `\uFEFF${rows(0, 12)}`,
    'in/c.csv': 'x,more,id\n1,2,25\n',
    'in/empty.csv': '',
    'in/header.csv': 'id,x\n',
    'other/a.csv': rows(90, 95),
  })
  const made = await plan({ prefix: 'in/' })
  const items = await made.items()
  expect(keys(items)).toEqual([...numbers(0, 12), ...numbers(20, 26)])
  expect(items.at(-1)?.row).toEqual({ id: '25', x: 1 })
  expect(Object.keys(items.at(-1)?.row ?? {})).toEqual(['id', 'x'])
  expect(made.plan).toMatchObject({ frames: 18, batches: [10, 8], groups: [], groupOf: [], warnings: [] })
  expect(made.plan.fileOf).toBeUndefined()

  const one = await plan({ url: media.url('in/b.csv.gz') })
  expect(keys(await one.items())).toEqual(numbers(20, 25))
})

test('what was appended while it is read is nobody’s row yet; a file that became another one is read again later', async () => {
  const { plan, media } = await start({ 'hour/z.ndjson': '{"id":"z","x":1}\n' })
  const blob = media.appendBlob('hour/a.ndjson')
  await blob.createIfNotExists()
  const append = async (text: string) => await blob.appendBlock(text, Buffer.byteLength(text))
  await append('{"id":"a","x":1}\n{"id":"b","x":2}\n')
  const list = media.list
  // As if a device wrote just then: after the listing, before the reading.
  media.list = async function* (prefix) {
    for await (const item of list(prefix)) {
      if (item.name === 'hour/a.ndjson') await append('{"id":"c","x":3}\n')
      if (item.name === change) await media.write(change, Buffer.from('{"id":"y","x":1}\n'))
      yield item
    }
  }
  let change = ''
  const table = { prefix: 'hour/', format: 'ndjson' }
  expect(keys(await (await plan(table)).items())).toEqual(['a', 'b', 'z'])
  change = 'hour/z.ndjson'
  await expect(plan(table)).rejects.toBeInstanceOf(TransientError)
  change = ''
  expect(keys(await (await plan(table)).items())).toEqual(['a', 'b', 'c', 'c', 'y'].filter((_, i) => i !== 3))
})

test('keys that were there, and rows outside the window, are left out and counted; bad rows are items that fail', async () => {
  const at = (minute: number) => `2026-03-01T09:${String(minute).padStart(2, '0')}:00Z`
  const line = (minute: number, Val: unknown, more = {}) =>
    JSON.stringify({ TS: at(minute), Device: 'd', Val, ...more })
  const lines = [
    ...[line(0, 1), line(10, 2), line(10, 3), line(20, 'x'), line(20, 4), 'nonsense', line(30, 5)],
    ...[line(40, 6), line(50, 7, { TS: 'soon' }), line(50, 8, { Device: undefined }), line(29, null)],
  ]
  const { plan } = await start({ 'r/a.ndjson': lines.join('\n') })
  const table = { format: 'ndjson', prefix: 'r/', key: ['TS', 'Device'], features: ['Val'], time: 'TS' }
  const made = await plan({ ...table, from: '2026-03-01T11:10:00+02:00', to: at(40) }, {}, { size: 100 })
  expect(await made.items()).toEqual([
    { key: `${at(10)}|d`, row: { TS: at(10), Device: 'd', Val: 2 } },
    bad(`${at(20)}|d`, 4, 'Val is not a number: "x"'),
    bad('line 6 of r/a.ndjson', 6, 'it is no JSON'),
    { key: `${at(30)}|d`, row: { TS: at(30), Device: 'd', Val: 5 } },
    bad('soon|d', 9, 'TS is not a time: "soon"'),
    bad(`${at(29)}|d`, 11, 'Val is missing'),
  ])
  expect(made.plan.warnings).toEqual([
    '2 rows whose key was there already were left out.',
    '3 rows outside the window of time were left out.',
  ])
})
const bad = (key: string, line: number, why: string) => ({
  key,
  error: { code: 'bad-row', message: `r/a.ndjson, line ${line}: ${why}.` },
})

const readings = (devices: string[], tags: string[], times = 4) =>
  `id,Device,Tag,x\n${Array.from({ length: times }, (_, t) =>
    devices
      .map((device) => tags.map((tag) => `${device}${tag}${t},${device},${tag},${t}\n`).join(''))
      .join(''),
  ).join('')}`

test('each partition has batches and a model of its own; rows of one without a model say so', async () => {
  const { plan, addModel } = await start({
    'p/a.csv': `${readings(['Dev 1', 'dev_2'], ['T', 'P'])}bad,,T,1\n`,
  })
  for (const name of ['svm-dev-1-t', 'svm-dev-2-t', 'svm-dev-2-p']) await addModel(name)
  const table = { prefix: 'p/', partitionBy: ['Device', 'Tag'] }
  const modelBy = { pattern: 'svm-{Device}-{Tag}@1' }
  const made = await plan(table, { modelBy }, { size: 3 })
  // Partition after partition, as they come up, each in its own order.
  expect(made.plan.batches).toEqual([3, 1, 3, 1, 3, 1, 3, 1, 1])
  expect(made.plan.fileOf).toBeDefined()
  const found = await Promise.all(
    made.plan.batches.map(async (_, batch) => ({
      model: made.of(batch).model.name,
      device: made.of(batch).partition?.['Device'],
      keys: keys(await made.itemsOf(batch)).join(),
    })),
  )
  expect(found[0]).toEqual({ model: 'svm-dev-1-t', device: 'Dev 1', keys: 'Dev 1T0,Dev 1T1,Dev 1T2' })
  expect(found[1]).toMatchObject({ model: 'svm-dev-1-t', keys: 'Dev 1T3' })
  expect(found.map(({ model }) => model)).toEqual(
    ['svm-dev-1-t', made.spec.model.name, 'svm-dev-2-t', 'svm-dev-2-p', made.spec.model.name].flatMap(
      (each, i) => (i === 4 ? [each] : [each, each]),
    ),
  )
  const items = await made.items()
  const without = items.filter(({ key, error }) => key.startsWith('Dev 1P') && error)
  expect(without).toHaveLength(4)
  expect(without[0]?.error).toEqual({
    code: 'unknown-model',
    message: 'There is no model for Device Dev 1, Tag P.',
  })
  expect(items.find(({ key }) => key === 'bad')?.error?.message).toMatch(/Device is missing/)
  expect(items.filter(({ error }) => !error)).toHaveLength(12)

  // One that can't score them is as good as none.
  await addModel('svm-dev-1-p', 2)
  const mended = await (await plan(table, { modelBy }, { size: 3 })).items()
  expect(mended.filter(({ error }) => error?.code === 'model-mismatch').map(({ key }) => key)).toEqual(
    keys(without),
  )
  expect(mended.find(({ key }) => key === 'Dev 1P0')?.error?.message).toBe(
    'The model svm-dev-1-p takes 2 features; the table gives 1 (source.table.features).',
  )
  expect(mended.filter(({ error }) => !error)).toHaveLength(12)
})

test('what tells a partition is short, and so is all of it together', async () => {
  const { plan, addModel } = await start({
    'long/a.csv': `id,Device,x\n1,${'d'.repeat(50_000)},1\n2,b,1\n`,
    'much/a.csv': `id,x\n${Array.from({ length: 400 }, (_, i) => `${String(i).padEnd(200, 'd')},1\n`).join('')}`,
  })
  const long = await plan({ prefix: 'long/', partitionBy: ['Device'] })
  expect(long.plan.groups).toEqual([{ partition: { Device: '' } }, { partition: { Device: 'b' } }])
  expect((await long.items())[0]).toEqual({
    key: '1',
    error: {
      code: 'bad-row',
      message: 'long/a.csv, line 2: Device is longer than 200 characters, which tells its partition.',
    },
  })
  const much = { prefix: 'much/', partitionBy: ['id'] }
  expect((await plan(much)).plan.batches).toHaveLength(400)
  const { name, version, sha256 } = await addModel('one')
  const models = Array.from({ length: 100 }, () => ({ name, version, sha256 }))
  await expect(plan(much, {}, { models })).rejects.toMatchObject({ code: 'too-many-partitions' })
})

test('columns of CSV have the order of the table, also those whose names are numbers', async () => {
  const { plan } = await start({ 'n/a.csv': 'id,1,0\na,5,6\n' })
  const table = { prefix: 'n/', features: ['0', '1'] }
  const columns = async (scores: object) => {
    const output = { scores: { format: 'csv', ...scores } } as JobRequest['output']
    return (await plan(table, { output })).plan.columns
  }
  expect(await columns({})).toEqual(['id', '1', '0'])
  // The request says it.
  expect(await columns({ columns: ['1', '0'] })).toBeUndefined()
  expect(await columns({ format: 'ndjson' })).toBeUndefined()
})

test('several models score the same items, which are written once', async () => {
  const { plan, addModel, media } = await start({ 'm/a.csv': readings(['a', 'b'], ['t'], 5) })
  const models = [await addModel('one'), await addModel('two')].map(({ name, version, sha256 }) => ({
    ...{ name, version, sha256 },
  }))
  const made = await plan({ prefix: 'm/', partitionBy: ['Device'] }, {}, { size: 4, models })
  expect(made.plan).toMatchObject({ frames: 20, batches: [4, 1, 4, 1, 4, 1, 4, 1] })
  const names: string[] = []
  for await (const { name } of media.list(layout.items(made.spec.id))) names.push(name)
  expect(names).toHaveLength(4)
  const batches = await Promise.all(
    made.plan.batches.map(async (_, batch) => {
      const { model, partition } = made.of(batch)
      return `${model.name} ${partition?.['Device']} ${keys(await made.itemsOf(batch)).join()}`
    }),
  )
  expect(batches).toEqual(
    ['one', 'two'].flatMap((model) =>
      ['a', 'b'].flatMap((device) => [
        `${model} ${device} ${device}t0,${device}t1,${device}t2,${device}t3`,
        `${model} ${device} ${device}t4`,
      ]),
    ),
  )
})

test('a table without rows is a plan without batches', async () => {
  const { plan } = await start({
    'empty/a.csv': '',
    'header/a.csv': 'id,x\n',
    'late/a.csv': 'id,x,TS\n1,1,2026-01-01\n',
  })
  for (const [prefix, warning] of [
    ['nothing/', 'The table has no rows: nothing is there.'],
    ['empty/', 'The table has no rows: nothing is there.'],
    ['header/', 'The table has no rows.'],
  ]) {
    const made = await plan({ prefix })
    expect([prefix, made.plan]).toEqual([
      prefix,
      expect.objectContaining({ frames: 0, batches: [], groupOf: [], warnings: [warning] }),
    ])
  }
  const late = await plan({ prefix: 'late/', time: 'TS', from: '2026-02-01T00:00:00Z' })
  expect(late.plan).toMatchObject({
    batches: [],
    warnings: ['1 row outside the window of time was left out.'],
  })
})

test('all files of a table together may be as large as any source, packed and unpacked; else none is fetched', async () => {
  const { plan, media } = await start({
    'large/a.csv': rows(0, 5_000),
    'large/b.csv': rows(5_000, 10_000),
    'packed/a.csv.gz': gzipSync(rows(0, 5_000)),
    'packed/b.csv.gz': gzipSync(rows(5_000, 10_000)),
  })
  const whole = { size: 10_000 }
  expect((await plan({ prefix: 'large/a' }, {}, whole)).plan.frames).toBe(5_000)
  expect((await plan({ prefix: 'packed/b' }, {}, whole)).plan.frames).toBe(5_000)
  await expect(plan({ prefix: 'packed/' }, {}, whole)).rejects.toMatchObject({ code: 'source-too-large' })
  const fetched: string[] = []
  const { download } = media
  media.download = async (name, ...rest) => {
    fetched.push(name)
    await download(name, ...rest)
  }
  await expect(plan({ prefix: 'large/' })).rejects.toMatchObject({ code: 'source-too-large' })
  expect(fetched).toEqual([])
})

test('a file for which the disk has no room is not fetched', async () => {
  const { plan, media } = await start({}, { maxSourceBytes: 2 ** 41 })
  const [, container = ''] = /([^/]+)$/.exec(media.url('')) ?? []
  // Storage keeps nothing of a page blob that nobody has written to.
  const page = connectAccount(services.mediaAccount).getContainerClient(container)
  await page.getPageBlobClient('huge/film.mp4').create(2 ** 40)
  await expect(plan({ prefix: 'huge/' })).rejects.toMatchObject({
    name: 'TransientError',
    message: expect.stringMatching(/huge\/film\.mp4 needs 1099\.51 GB on the disk/),
  })
})

test('a column with a value for each row tells no partitions', async () => {
  const ids = Array.from({ length: 10_001 }, (_, i) => `${i},1\n`)
  const { plan } = await start({ 'wide/a.csv': `id,x\n${ids.join('')}` })
  await expect(plan({ prefix: 'wide/', partitionBy: ['id'] })).rejects.toMatchObject({
    code: 'too-many-partitions',
  })
})

test('there is a limit to items, and to batches of many models', async () => {
  const media = await services.container()
  const many = (count: number) => ({
    async *items() {
      for (let i = 0; i < count; i++) yield { key: 'k' }
    },
  })
  const options = { jobId: 'job-of-many', size: 10_000, mostItems: 50_000, dir, signal }
  const plan: ItemsPlan = await planItems(media, many(50_000), options)
  expect(plan.frames).toBe(50_000)
  await expect(planItems(media, many(50_001), options)).rejects.toMatchObject({ code: 'too-many-items' })
  const models = Array.from({ length: 100 }, (_, i) => ({ name: `m${i}`, version: '1', sha256: '' }))
  await expect(planItems(media, many(201), { ...options, size: 1, models })).rejects.toMatchObject({
    code: 'too-many-batches',
  })
})

/** As many items of each group, in turn. */
const inTurn = (groups: number, each: number, more: object = {}) => ({
  async *items() {
    for (let i = 0; i < groups * each; i++)
      yield { key: `${i % groups} ${Math.floor(i / groups)}`, group: i % groups, ...more }
  },
  groups: () => Array.from({ length: groups }, (_, group) => ({ partition: { group: String(group) } })),
})

test('groups whose items come in turn are cut no smaller, however little may be held', async () => {
  const media = await services.container()
  const own = await mkdtemp(join(dir, 'turns-'))
  const source = inTurn(100, 40, { row: { x: 'x'.repeat(100) } })
  let files: string[] = []
  async function* items() {
    yield* source.items()
    files = await readdir(own)
  }
  const options = { jobId: 'job-of-turns', size: 30, dir: own, mostHeld: 40_000, signal }
  const made = await planItems(media, { ...source, items }, options)
  // A full one of each, and what is left.
  expect(made.batches).toEqual(Array.from({ length: 200 }, (_, i) => (i % 2 === 0 ? 30 : 10)))
  const read = async (batch: number) => {
    const text = String(await media.read(layout.itemsOf('job-of-turns', made.folder, fileOf(made, batch))))
    return keys(text.split('\n').flatMap((line) => (line === '' ? [] : [Item.parse(JSON.parse(line))])))
  }
  const seventh = numbers(0, 40).map((n) => `7 ${n}`)
  expect([await read(14), await read(15)]).toEqual([seventh.slice(0, 30), seventh.slice(30)])
  // What had no place in memory was there, and is there no longer.
  expect(files).toHaveLength(100)
  expect(await readdir(own)).toEqual([])
})

test('queries count as what they come with', async () => {
  const media = await services.container()
  const options = { jobId: 'job-of-queries', size: 100_000, dir, signal }
  const made = await planItems(media, inTurn(1, 9_000, { query: `?${'s'.repeat(5_000)}` }), options)
  expect(made.batches).toHaveLength(2)
})

test('more partitions than there may be batches are named as what there is too much of', async () => {
  const media = await services.container()
  const models = Array.from({ length: 100 }, (_, i) => ({ name: `m${i}`, version: '1', sha256: '' }))
  const options = { jobId: 'job-of-both', size: 10, dir, models, signal }
  expect((await planItems(media, inTurn(200, 1), options)).batches).toHaveLength(20_000)
  await expect(planItems(media, inTurn(201, 1), options)).rejects.toMatchObject({
    code: 'too-many-partitions',
    message: expect.stringMatching(/for each of 100 models .* 20000/),
  })
})
