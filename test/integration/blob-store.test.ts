import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { AccountSASPermissions } from '@azure/storage-blob'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { connectAccount, createBlobStore } from '../../src/shared/blob-store.ts'
import { classify } from '../../src/shared/classify.ts'
import { createFileCache } from '../../src/shared/file-cache.ts'
import { createSourceReader } from '../../src/shared/source.ts'
import { tempDir } from '../support/temp-dir.ts'
import { useServices } from '../support/use-services.ts'

const dir = tempDir()
const cache = createFileCache({ dir: join(dir, 'cache'), maxBytes: 1e9 })
const services = useServices()

test.each(['in/film.mp4', 'in/été à la mer (1) #2.mp4', 'in/100%/a+b&c=d.mp4', 'in/日本.mp4'])(
  'a URL leads back to its blob: %s',
  async (name) => {
    const store = await services.container()
    await store.write(name, Buffer.from('film'))
    const url = store.url(name)
    expect(store.nameOf(url)).toBe(name)
    const source = await createSourceReader(store, cache).look(url)
    expect(source).toMatchObject({ kind: 'own', bytes: 4, url })
    await createSourceReader(store, cache).open(source, '', join(dir, name.replaceAll('/', '-')))
    expect(await readFile(join(dir, name.replaceAll('/', '-')), 'utf8')).toBe('film')
  },
)

test('a URL of another container or account is nobody of ours', async () => {
  const store = await services.container()
  const [base] = store.url('x').split('/x')
  for (const url of [
    `${base}-more/x`,
    `${base}`,
    `${base}/`,
    'http://127.0.0.1:1/x',
    'https://acct.blob.core.windows.net/media/x',
  ]) {
    expect(store.nameOf(url)).toBeUndefined()
  }
})

test('the first writer wins', async () => {
  const store = await services.container()
  const wins = await Promise.all(
    [1, 2, 3, 4].map(async (n) => await store.writeJson('plan.json', { n }, { ifAbsent: true })),
  )
  expect(wins.filter(Boolean)).toHaveLength(1)
  const { n } = (await store.readJson('plan.json', z.object({ n: z.number() }))) ?? {}
  expect(wins[(n ?? 0) - 1]).toBe(true)
})

test('of two uploads of a segment the first stays', async () => {
  const store = await services.container()
  await writeFile(join(dir, 'one'), 'one')
  await writeFile(join(dir, 'two'), 'two')
  await store.uploadFile('segment', join(dir, 'one'), { ifAbsent: true, metadata: { frames: '1' } })
  await store.uploadFile('segment', join(dir, 'two'), { ifAbsent: true, metadata: { frames: '2' } })
  expect((await store.read('segment'))?.toString()).toBe('one')
  expect(await store.head('segment')).toMatchObject({ bytes: 3, metadata: { frames: '1' } })
})

test('a source that changed is not read', async () => {
  const store = await services.container()
  await store.write('film', Buffer.from('first cut'))
  const sources = createSourceReader(store, cache)
  const source = await sources.look(store.url('film'))
  await store.write('film', Buffer.from('final cut'))
  const refused = sources.open(source, '', join(dir, 'changed'))
  await expect(refused).rejects.toMatchObject({ name: 'InputError', code: 'source-changed' })
})

test('what is named is removed, and only that, be it there or not', async () => {
  const store = await services.container()
  for (const name of ['jobs/1/segments/0', 'jobs/1/segments/1', 'jobs/1/report.json', 'jobs/10/segments/0'])
    await store.write(name, Buffer.from('x'))
  await store.remove(['jobs/1/segments/0', 'jobs/1/none', 'jobs/1/segments/1'])
  const left: string[] = []
  for await (const { name } of store.list('jobs/')) left.push(name)
  expect(left).toEqual(['jobs/1/report.json', 'jobs/10/segments/0'])
})

test('who may delete blobs, and nothing of a container, can remove one', async () => {
  const store = await services.container()
  await store.write('segment', Buffer.from('x'))
  const expires = new Date(Date.now() + 3_600_000)
  const permissions = AccountSASPermissions.parse('d')
  const sas = connectAccount(services.mediaAccount).generateAccountSasUrl(expires, permissions, 'o')
  const container = new URL(store.url('x')).pathname.split('/').at(-2) ?? ''
  const worker = createBlobStore(connectAccount(sas), container)
  await worker.remove(['segment'])
  await worker.remove(['segment'])
  expect(await store.head('segment')).toBeUndefined()
})

test('what is not there is undefined, not an error', async () => {
  const store = await services.container()
  expect(await store.head('nothing')).toBeUndefined()
  expect(await store.read('nothing')).toBeUndefined()
  expect(await store.openRead('nothing')).toBeUndefined()
  await expect(store.download('nothing', join(dir, 'nothing'))).rejects.toSatisfy(
    (error) => classify(error) === 'unknown',
  )
})
