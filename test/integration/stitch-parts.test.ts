import { join } from 'node:path'
import { mkdir } from 'node:fs/promises'
import { beforeAll, expect, test, vi } from 'vitest'
import { type BlobStore, connectAccount } from '../../src/shared/blob-store.ts'
import type { Output } from '../../src/shared/accepted-outputs.ts'
import type { PartLine } from '../../src/shared/items/item.ts'
import type { ItemsPlan } from '../../src/shared/items/items-plan.ts'
import { maxLineBytes } from '../../src/shared/items/ndjson.ts'
import type { JobPlan, JobSpec, Plan } from '../../src/shared/job.ts'
import { createJobFiles } from '../../src/shared/job-files.ts'
import { createJobStatuses } from '../../src/shared/job-status.ts'
import { layout } from '../../src/shared/layout.ts'
import { writeSegmentFacts } from '../../src/shared/segment-metadata.ts'
import { scoreItems } from '../../src/worker/items/score-items.ts'
import { fetchParts } from '../../src/stitcher/fetch-parts.ts'
import { finishItems } from '../../src/stitcher/finish-items.ts'
import { planOf, specOf } from '../support/jobs.ts'
import { silent } from '../support/services.ts'
import { tempDir } from '../support/temp-dir.ts'
import { useServices } from '../support/use-services.ts'

const dir = tempDir()
const services = useServices()
const { signal } = new AbortController()
let media: BlobStore
beforeAll(async () => {
  media = await services.container()
})

/** A plan of a video under a model that makes no pictures. */
const scoredPlan = (id: string, batches: number): Plan => ({ ...planOf(id, batches), encoding: undefined })
const lines = (first: number) => Array.from({ length: 10 }, (_, i) => lineOf(first + i))
const lineOf = (frame: number) => `${JSON.stringify({ key: String(frame), value: { frame, score: 1 } })}\n`

async function commit(id: string, batch: number, text: string, replaced: number[] = [], frames = 10) {
  const metadata = writeSegmentFacts({ frames, replaced, through: [] })
  await media.write(layout.part(id, batch), Buffer.from(text), { metadata })
}

async function finish(id: string, batches: number) {
  const spec = specOf(id)
  spec.request = { ...spec.request, output: { scores: { format: 'ndjson' } } }
  return await finishBy(spec, scoredPlan(id, batches))
}

async function finishBy(spec: JobSpec, plan: JobPlan, accepted?: Output) {
  const { id } = spec
  const statuses = createJobStatuses(services.connect(), services.prefix())
  await statuses.create({ id, createdAt: 1, model: 'm', source: 's' })
  await statuses.advance(id, 'stitching')
  const own = join(dir, id)
  await mkdir(own, { recursive: true })
  const context = {
    signal,
    log: silent,
    attempt: 0,
    again: false,
    failures: {},
    childFailures: async () => ({}),
  }
  const outputs = { of: async () => await Promise.resolve(accepted) }
  return await finishItems({ media, statuses, outputs }, { spec, plan, dir: own, context })
}

/** A job of images in one batch for each model, and what a worker says became of them. */
async function images(id: string, keys: string[], output: JobSpec['request']['output'], said: PartLine[]) {
  const plan: ItemsPlan = {
    ...{ v: 1, kind: 'items', jobId: id, folder: 'items', frames: keys.length, batches: [keys.length] },
    ...{ groups: [], groupOf: [], hasQueries: false, warnings: [] },
  }
  const spec = specOf(id)
  spec.request = { ...spec.request, source: { images: { prefix: 'in/' } }, output }
  await media.write(layout.itemsOf(id, 'items', 0), ndjson(keys.map((key) => ({ key, name: `in/${key}` }))))
  await commit(id, 0, String(ndjson(said)), [], keys.length)
  return { spec, plan }
}

const ndjson = (all: object[]) => Buffer.from(all.map((each) => `${JSON.stringify(each)}\n`).join(''))

/** The line of an image that a worker made, and the image. */
async function madeLine(id: string, key: string, place: number, bytes: Buffer): Promise<PartLine> {
  const made = layout.madeImage(id, 0, place, 'png')
  await media.write(made, bytes)
  return { key, value: { made, format: 'png' } }
}

test('parts become one file in order; which frames were damaged is said, by their numbers in the video', async () => {
  await commit('a-job-that-is-well', 0, lines(0).join(''))
  await commit('a-job-that-is-well', 1, lines(10).join(''))
  // What a resumed job need not do again.
  const files = createJobFiles(media)
  await files.keepPlan(scoredPlan('a-job-that-is-well', 2))
  expect(await files.committed('a-job-that-is-well')).toEqual(
    new Map([
      [0, 10],
      [1, 10],
    ]),
  )
  expect(await finish('a-job-that-is-well', 2)).toMatchObject({
    ...{ status: 'succeeded', framesReplaced: [], warnings: [] },
    items: { total: 20, failed: 0 },
  })
  const made = String(await media.read(layout.output('a-job-that-is-well', 'ndjson')))
  expect(made.trim().split('\n')).toEqual(
    Array.from({ length: 20 }, (_, frame) => JSON.stringify({ frame, score: 1 })),
  )
  // No more may be damaged than the job allows: of this one none.
  await commit('a-job-with-damage', 0, lines(0).join(''))
  await commit('a-job-with-damage', 1, lines(10).join(''), [2])
  expect(await finish('a-job-with-damage', 2)).toMatchObject({
    ...{ status: 'failed', error: { code: 'too-many-errors' } },
  })
})

test.each([
  ['other frames', () => lines(10)],
  ['the same frame twice', () => [...lines(0).slice(0, 9), lineOf(8)]],
  ['one frame too few', () => lines(0).slice(1)],
  ['one frame too many', () => lines(0).concat(lineOf(10))],
  ['no text at all', () => ['\n'.repeat(1 << 20)]],
  ['frames that are none', () => [...lines(0).slice(0, 9), `{"key":"../9","value":{}}\n`]],
])('a part that has lines of %s is no part of ours', async (what, write) => {
  const id = `a-job-with-${what.replaceAll(' ', '-')}`
  await commit(id, 0, write().join(''))
  await expect(finish(id, 1)).rejects.toMatchObject({ name: 'InputError', code: 'bad-part' })
})

test('images go where it was accepted, as they are, small and large; of two with one name the first has it', async () => {
  const id = 'a-job-of-images'
  const keys = ['a.jpg', 'a.jpg.png', 'b.png']
  const bytes = ['small', 'never seen', 'x'.repeat(5 << 20)].map((text) => Buffer.from(text))
  const said = await Promise.all(keys.map((key, n) => madeLine(id, key, n, bytes[n] ?? Buffer.alloc(0))))
  const { spec, plan } = await images(id, keys, { images: { prefix: 'elsewhere/' } }, said)
  const ending = await finishBy(spec, plan, { query: '', prefix: 'out/' })
  expect(ending).toMatchObject({ status: 'failed', items: { total: 3, failed: 1 } })
  expect(ending.items?.failures).toEqual([
    {
      ...{ key: 'a.jpg.png', code: 'same-name' },
      message: 'Its image would be called a.jpg.png, as that of another item is.',
    },
  ])
  spec.request.errorThreshold = 1
  const read = vi.spyOn(media, 'read')
  expect(await finishBy(spec, plan, { query: '', prefix: 'out/' })).toMatchObject({ status: 'succeeded' })
  const held = await Promise.allSettled(read.mock.results.map(({ value }) => value))
  read.mockRestore()
  const sizes = held.map((each) => (each.status === 'fulfilled' ? (each.value?.length ?? 0) : 0))
  expect(Math.max(...sizes)).toBeLessThan(4 << 20)
  const found: Record<string, Buffer | undefined> = {}
  for await (const { name } of media.list('out/')) found[name] = await media.read(name)
  expect(Object.keys(found)).toEqual(['out/a.jpg.png', 'out/b.png'])
  expect(found['out/a.jpg.png']?.equals(bytes[0] ?? Buffer.alloc(0))).toBe(true)
  expect(found['out/b.png']?.equals(bytes[2] ?? Buffer.alloc(0))).toBe(true)
  // What job.json says by now counts for nothing, and nobody accepted a folder of the system's own.
  expect((await media.listPage('elsewhere/')).items).toEqual([])
  const own = finishBy(spec, plan, { query: '', prefix: 'jobs/another/' })
  await expect(own).rejects.toMatchObject({ code: 'reserved-name' })
})

test('an image whose name storage does not take fails alone', async () => {
  const id = 'a-job-of-long-names'
  const key = `${'k'.repeat(200)}.png`
  const said = await madeLine(id, key, 0, Buffer.from('image'))
  const { spec, plan } = await images(id, [key], { images: {} }, [said])
  spec.request.errorThreshold = 1
  const report = await finishBy(spec, plan, { query: '', prefix: 'long/'.repeat(180) })
  expect(report).toMatchObject({ status: 'succeeded', items: { failures: [{ key, code: 'long-name' }] } })
})

test('a part has a line for each item, in its place, of an image of its own batch', async () => {
  const lie = async (id: string, key: string, made: string) => {
    const said: PartLine[] = [{ key, value: { made, format: 'png' } }]
    const { spec, plan } = await images(id, ['a.png'], { images: {} }, said)
    await finishBy(spec, plan)
  }
  await media.write('secret.png', Buffer.from('another customer’s'))
  const ofOthers = lie('lie-1', 'other-job/cover.jpg', layout.madeImage('lie-1', 0, 0, 'png'))
  await expect(ofOthers).rejects.toMatchObject({ code: 'bad-part' })
  await expect(lie('lie-2', 'a.png', 'secret.png')).rejects.toMatchObject({ code: 'bad-part' })
  const another = lie('lie-3', 'a.png', layout.madeImage('lie-3', 1, 0, 'png'))
  await expect(another).rejects.toMatchObject({ code: 'bad-part' })
  const around = `${layout.segments('lie-4')}images/000000/../../../../secret/000000.png`
  await expect(lie('lie-4', 'a.png', around)).rejects.toMatchObject({ code: 'bad-part' })
})

test('what a worker writes down of an item is what is taken of it: of one that is too large, that it is', async () => {
  const id = 'a-job-of-vectors'
  const { spec, plan } = await images(id, ['a.png', 'ü.png'], { scores: { format: 'ndjson' } }, [])
  await media.remove([layout.part(id, 0)])
  const vector = Array.from({ length: maxLineBytes / 4 }, () => 0.5)
  const lines: PartLine[] = [
    { key: 'a.png', value: { vector } },
    { key: 'ü.png', value: { vector: [1] } },
  ]
  const scored = async () => await Promise.resolve({ lines })
  const score = async () =>
    await scoreItems(
      { media, scorers: { images: scored, table: scored } },
      {
        ...{ spec, plan, dir, batch: { jobId: id, index: 0, first: 0, count: 2 } },
        ...{ manner: { again: false }, log: silent, signal },
        ...{ onScoring() {}, onItem() {}, onFetched() {} },
      },
    )
  await expect(score()).rejects.toMatchObject({ code: 'too-many-errors' })
  spec.request.errorThreshold = 1
  await score()
  const failures = [{ key: 'a.png', code: 'too-large', message: 'Its result has more than 4 MiB.' }]
  const report = await finishBy(spec, plan)
  expect(report).toMatchObject({ status: 'succeeded', items: { total: 2, failures } })
})

test('what a report and a table take of a part has bounds', async () => {
  const keys = Array.from({ length: 2_000 }, (_, n) => `${n}.png`)
  const csv = { scores: { format: 'csv' as const } }
  const scored = (value: (n: number) => Record<string, number>): PartLine[] =>
    keys.map((key, n) => ({ key, value: value(n) }))
  const bad = { name: 'InputError', code: 'bad-part' }
  // Each column of one line is a comma in all others.
  const many = Object.fromEntries(Array.from({ length: 10_000 }, (_, n) => [`c${n}`, 1]))
  const wide = await images(
    'wide',
    keys,
    csv,
    scored((n) => (n === 0 ? many : { score: 1 })),
  )
  await expect(finishBy(wide.spec, wide.plan)).rejects.toMatchObject(bad)
  const named = await images(
    'named',
    keys,
    csv,
    scored(() => ({ ['n'.repeat(201)]: 1 })),
  )
  await expect(finishBy(named.spec, named.plan)).rejects.toMatchObject(bad)

  const said = `https://a.example/?sig=signature ${'m'.repeat(10_000)}`
  const long = { code: 'c'.repeat(1_000), message: said }
  const failed = await images(
    'failed',
    keys,
    csv,
    keys.map((key) => ({ key, error: long })),
  )
  const { error, items } = await finishBy(failed.spec, failed.plan)
  expect(items).toMatchObject({ total: 2_000, failed: 2_000 })
  expect(items?.failures[0]).toMatchObject({ code: 'c'.repeat(100), key: '0.png' })
  for (const { message } of items?.failures ?? []) expect(message.length).toBeLessThanOrEqual(1_000)
  expect(error?.message.length).toBeLessThan(1_200)
  expect(JSON.stringify([error, items])).not.toContain('signature')
})

test('a part is fetched as it was when it was measured', async () => {
  const id = 'a-job-that-is-changed'
  await commit(id, 0, lines(0).join(''))
  const changing: Pick<BlobStore, 'list' | 'download'> = {
    list: media.list,
    async download(...rest) {
      await commit(id, 0, lines(0).join('').replace('"score":1', '"score":2'))
      await media.download(...rest)
    },
  }
  const fetching = fetchParts(changing, scoredPlan(id, 1), dir, signal)
  await expect(fetching).rejects.toMatchObject({ statusCode: 412 })
})

test('a part that is missing is waited for; one that nobody could read is not fetched', async () => {
  const id = 'a-job-that-is-fat'
  const plan = scoredPlan(id, 2)
  await commit(id, 0, lines(0).join(''))
  const fetching = async () => await fetchParts(media, plan, dir, signal)
  await expect(fetching()).rejects.toMatchObject({ name: 'TransientError' })
  const [, container = ''] = /([^/]+)$/.exec(media.url('')) ?? []
  // Storage keeps nothing of a page blob that nobody has written to.
  const page = connectAccount(services.mediaAccount).getContainerClient(container)
  const metadata = writeSegmentFacts({ frames: 10, replaced: [], through: [] })
  await page.getPageBlobClient(layout.part(id, 1)).create(2 ** 40, { metadata })
  await expect(fetching()).rejects.toMatchObject({ name: 'InputError', code: 'bad-part' })
})
