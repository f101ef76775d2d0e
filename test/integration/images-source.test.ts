import { randomUUID } from 'node:crypto'
import { mkdtemp, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { openItemSource } from '../../src/producer/items/open-source.ts'
import { planItems } from '../../src/producer/items/plan-items.ts'
import { createFileCache } from '../../src/shared/file-cache.ts'
import type { Item } from '../../src/shared/items/item.ts'
import { parseLines, readItem } from '../../src/shared/items/ndjson.ts'
import type { ImagesSource } from '../../src/shared/items/request.ts'
import type { JobRequest } from '../../src/shared/job.ts'
import { layout } from '../../src/shared/layout.ts'
import { createModelStore } from '../../src/shared/models/model-store.ts'
import { createSourceReader } from '../../src/shared/source.ts'
import { scoreItems } from '../../src/worker/items/score-items.ts'
import { specOf } from '../support/jobs.ts'
import { silent } from '../support/services.ts'
import { tempDir } from '../support/temp-dir.ts'
import { useServices } from '../support/use-services.ts'

const services = useServices()
const dir = tempDir()
const never = new AbortController().signal

/** A media container with these blobs, and how images in it are planned. */
async function start(names: string[] = []) {
  const media = await services.container()
  for (const name of names) await media.write(name, Buffer.from('an image'))
  const cache = createFileCache({ dir: join(dir, randomUUID()), maxBytes: 1e9 })
  const sources = createSourceReader(media, cache)
  const deps = {
    ...{ media, sources, models: createModelStore(media), maxSourceBytes: 1e9 },
    policy: { mediaUrl: media.url(''), allowed: [] },
  }
  async function plan(images: ImagesSource, { output = {}, open = sources.open }: Partial<Planning> = {}) {
    const spec = specOf()
    spec.request = { ...spec.request, source: { images }, output }
    if (images.manifest !== undefined) spec.source = await sources.look(images.manifest)
    const job = { spec, secret: { sourceQuery: '', outputQuery: '', styleQuery: '' }, signal: never }
    const on = { ...deps, sources: { ...sources, open } }
    const place = await mkdtemp(join(dir, 'job-'))
    const source = await openItemSource(on, { ...job, dir: place })
    const made = await planItems(media, source, { jobId: spec.id, size: 10, dir: place, signal: never })
    const bytes = (await media.read(layout.itemsOf(spec.id, made.folder, 0))) ?? Buffer.alloc(0)
    return { spec, plan: made, items: parseLines(bytes, readItem) }
  }
  const manifest = async (lines: object[]) => {
    await media.write(
      'lists/m.ndjson',
      Buffer.from(lines.map((each) => `${JSON.stringify(each)}\n`).join('')),
    )
    return { manifest: media.url('lists/m.ndjson') }
  }
  return { deps, media, plan, manifest }
}
type Planning = {
  output: JobRequest['output']
  open(source: unknown, query: string, path: string): Promise<void>
}
const keys = (items: Item[]) => items.map(({ key }) => key)

test('an image whose name can be no key fails by itself; the others are there', async () => {
  const long = `photos/${'x'.repeat(600)}.png`
  const { plan } = await start(['photos//b.png', 'photos/a.png', 'photos/c/d.png', long])
  const { items } = await plan({ prefix: 'photos/' })
  const odd = expect.objectContaining({ code: 'bad-key' }) as object
  expect(items).toEqual([
    { key: '/b.png', error: odd },
    { key: 'a.png', name: 'photos/a.png' },
    { key: 'c/d.png', name: 'photos/c/d.png' },
    { key: long.slice('photos/'.length), error: odd },
  ])
})

test('each image of a list has a key of its own, also where a file is called like a numbered one', async () => {
  const { plan, media } = await start()
  const list = ['x/a.png', 'y/a.png', 'z/0-a.png', 'w/2-0-a.png'].map((name) => media.url(name))
  expect(keys((await plan({ list })).items)).toEqual(['0-a.png', '1-a.png', '2-0-a.png', '3-2-0-a.png'])
})

const mine = 'uploads/2026-03-01/0123456789ab-0123456789abcdef/'
test('what others brought, or jobs made, is found by nobody who does not name it', async () => {
  const job = 'jobs/a-job-of-theirs/output.images/'
  const { plan } = await start([`${mine}a.png`, `${job}b.png`, 'use/c.png', 'jocund/d.png'])
  expect(keys((await plan({ prefix: 'u' })).items)).toEqual(['use/c.png'])
  expect(keys((await plan({ prefix: 'jo' })).items)).toEqual(['jocund/d.png'])
  for (const prefix of ['uploads', 'uploads/2026-03-01/', mine.slice(0, -1)])
    await expect(plan({ prefix })).rejects.toMatchObject({ code: 'no-items' })
  expect(keys((await plan({ prefix: mine })).items)).toEqual(['a.png'])
  expect(keys((await plan({ prefix: job })).items)).toEqual(['b.png'])
})

async function all<T>(of: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = []
  for await (const each of of) found.push(each)
  return found
}

test('a job that is halted stops a listing in which there are no images', async () => {
  const { deps } = await start(['notes/a.txt', 'notes/b.txt'])
  const spec = specOf()
  spec.request.source = { images: { prefix: 'notes/' } }
  const secret = { sourceQuery: '', outputQuery: '', styleQuery: '' }
  const source = await openItemSource(deps, { spec, secret, dir, signal: never })
  const halted = AbortSignal.abort(new Error('halted'))
  await expect(all(source.items(halted))).rejects.toThrow('halted')
})

test('a manifest that is one endless line is refused, and no more of it is held than a line may have', async () => {
  const { plan, manifest } = await start()
  const images = await manifest([{ name: 'a.png' }])
  // Longer than any text can be.
  const endless = async (_: unknown, _query: string, path: string) => {
    await writeFile(path, '')
    await truncate(path, 520 << 20)
  }
  await expect(plan(images, { open: endless })).rejects.toMatchObject({
    ...{ code: 'bad-manifest', message: expect.stringMatching(/line 1: it is longer/) as string },
  })
})

test('a manifest names nothing that its job would write over, nor a key twice', async () => {
  const { plan, manifest, media } = await start()
  const images = { images: { prefix: 'in/' } }
  const sas = `${media.url('in/a.png')}?sig=x`
  for (const line of [{ name: 'in/a.png' }, { url: media.url('in/a.png') }, { url: sas }])
    await expect(
      plan(await manifest([{ name: 'x.png' }, { ...line, key: 'k' }]), { output: images }),
    ).rejects.toMatchObject({ code: 'bad-output' })
  const scores = { scores: { url: media.url('in/a.png'), format: 'csv' as const } }
  await expect(plan(await manifest([{ url: sas }]), { output: scores })).rejects.toMatchObject({
    code: 'bad-output',
  })
  const twice = await manifest([{ name: 'a/x.png' }, { name: 'b.png', key: 'a/x.png' }])
  await expect(plan(twice)).rejects.toThrow(/line 2: the key a\/x.png is there already/)
})

test('images that came with a SAS are not asked for without it once it is gone', async () => {
  const { plan, manifest, media } = await start()
  const sas = '?sv=1&sig=x'
  const made = await plan(await manifest([{ name: 'a.png' }, { url: `${media.url('b.png')}${sas}` }]))
  const batch = { jobId: made.spec.id, index: 0, first: 0, count: 2 }
  const asked: (string | undefined)[][] = []
  const scorers = {
    images: async ({ items, queries }: { items: Item[]; queries: (string | undefined)[] }) => {
      asked.push(queries)
      return await Promise.resolve({ lines: items.map(({ key }) => ({ key, value: {} })) })
    },
    table: async () => await Promise.reject(new Error('these are no rows')),
  }
  const score = async () =>
    await scoreItems(
      { media, scorers },
      {
        ...{ ...made, batch, dir, manner: { again: false }, log: silent, signal: never },
        ...{ onScoring() {}, onItem() {}, onFetched() {} },
      },
    )
  await score()
  expect(asked).toEqual([['', sas]])
  await media.remove([layout.itemSecretsOf(made.spec.id, made.plan.folder, 0)])
  await expect(score()).rejects.toMatchObject({ code: 'secret-gone' })
  expect(asked).toHaveLength(1)
})
