import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { mkdir, readFile, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { BlobSASPermissions } from '@azure/storage-blob'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type FaultProxy, startFaultProxy } from '../../scripts/chaos/fault-proxy.ts'
import { type BlobStore, connectAccount, createBlobStore } from '../../src/shared/blob-store.ts'
import { classify } from '../../src/shared/classify.ts'
import { createFileCache } from '../../src/shared/file-cache.ts'
import { createSourceReader } from '../../src/shared/source.ts'
import { type TestServices, startServices } from '../support/services.ts'
import { seeded } from '../../scripts/chaos/seeded.ts'
import { tempDir } from '../support/temp-dir.ts'

const dir = tempDir()
const film = randomBytes(3 << 20)
const idleMs = 400

let services: TestServices
let proxy: FaultProxy
/** The same container, at Azurite itself and through the proxy. */
let straight: BlobStore
let store: BlobStore
let sasUrl = ''
beforeAll(async () => {
  services = await startServices()
  straight = await services.container()
  const azurite = new URL(straight.url('x'))
  proxy = await startFaultProxy({
    target: { host: azurite.hostname, port: Number(azurite.port) },
    http: true,
  })
  const account = services.mediaAccount.replace(`:${azurite.port}/`, `:${proxy.port}/`)
  const [, , name = ''] = azurite.pathname.split('/')
  const service = connectAccount(account, { answerWithinMs: 1_000 })
  store = createBlobStore(service, name, { idleMs })
  await straight.write('film', film)
  sasUrl = await service
    .getContainerClient(name)
    .getBlobClient('film')
    .generateSasUrl({
      permissions: BlobSASPermissions.parse('r'),
      expiresOn: new Date(Date.now() + 3_600_000),
    })
})
afterAll(async () => {
  await proxy?.stop()
  await services?.stop()
})

let fetched = 0
/** Fetches the film anew, as a blob of ours or over HTTP; answers the bytes. */
async function fetchFilm(kind: 'own' | 'http'): Promise<Buffer> {
  const root = join(dir, `${fetched++}`)
  const cache = createFileCache({ dir: join(root, 'cache'), maxBytes: 1e9 })
  const sources = createSourceReader(store, cache, { idleMs })
  const url = kind === 'own' ? store.url('film') : sasUrl
  try {
    await sources.open(await sources.look(url), new URL(url).search, join(root, 'film'))
    return await readFile(join(root, 'film'))
  } finally {
    const kept = await readdir(join(root, 'cache')).catch(() => [])
    expect(kept.filter((name) => /partial|lock/.test(name))).toEqual([])
  }
}

test.for(['own', 'http'] as const)(
  'a download that is reset again and again goes on where it broke off (%s)',
  async (kind) => {
    const before = proxy.struck()
    await proxy.set({ kind: 'reset', afterBytes: 1 << 20 })
    expect((await fetchFilm(kind)).equals(film)).toBe(true)
    // At least: a reset also drops what was on its way.
    expect(proxy.struck() - before).toBeGreaterThanOrEqual(2)
  },
)

test.for(['own', 'http'] as const)('one that falls silent as well (%s)', async (kind) => {
  const before = proxy.struck()
  await proxy.set({ kind: 'stall', afterBytes: 2 << 20 })
  expect((await fetchFilm(kind)).equals(film)).toBe(true)
  expect(proxy.struck() - before).toBe(1)
})

test.for(['own', 'http'] as const)('one that stays silent is given up, to be retried (%s)', async (kind) => {
  await proxy.set({ kind: 'stall', afterBytes: 0 })
  const failed = fetchFilm(kind)
  await expect(failed).rejects.toThrow(/film.* broke off after 0 of 3145728 bytes, then silent for 0.4 s/)
  await expect(failed).rejects.toSatisfy((error) => classify(error) === 'transient')
})

test('of a document that is reset nothing is taken for whole', async () => {
  await proxy.set({ kind: 'reset', afterBytes: 1 << 20, share: 0.5 })
  for (let i = 0; i < 4; i++) expect((await store.read('film'))?.equals(film)).toBe(true)
})

test('a version that changes during the download is refused', async () => {
  await proxy.set({ kind: 'reset', afterBytes: 1 << 20 })
  const before = proxy.struck()
  const refused = fetchFilm('own').catch((error: unknown) => error)
  await expect.poll(() => proxy.struck(), { interval: 5 }).toBeGreaterThan(before)
  await straight.write('film', Buffer.from(film.toReversed()))
  expect(await refused).toMatchObject({ name: 'InputError', code: 'source-changed' })
  await straight.write('film', film)
})

test('a body shorter than its length, and one longer, are never taken for the source', async () => {
  let sent = film
  const host = createServer((request, answer) => {
    const length = request.method === 'HEAD' ? { 'content-length': film.length } : {}
    answer.writeHead(200, { etag: '"one"', ...length }).end(request.method === 'HEAD' ? undefined : sent)
  }).listen(0, '127.0.0.1')
  await once(host, 'listening')
  try {
    const { port } = host.address() as { port: number }
    const cache = createFileCache({ dir: join(dir, 'lengths'), maxBytes: 1e9 })
    const sources = createSourceReader(store, cache)
    const source = await sources.look(`http://127.0.0.1:${port}/film.mp4?v=1`)
    sent = film.subarray(0, 1 << 20)
    const short = sources.open(source, '', join(dir, 'short'))
    await expect(short).rejects.toThrow(/broke off after 1048576 of 3145728 bytes/)
    sent = Buffer.concat([film, film])
    await expect(sources.open(source, '', join(dir, 'long'))).rejects.toMatchObject({
      code: 'source-changed',
    })
    expect(await readdir(join(dir, 'lengths'))).toEqual([])
  } finally {
    host.close()
  }
})

test('a few busy answers are nothing to speak of', async () => {
  const before = proxy.struck()
  await proxy.set({ kind: 'status', status: 503, share: 0.3 })
  for (let i = 0; i < 12; i++) expect(await store.head('film')).toMatchObject({ bytes: film.length })
  expect(proxy.struck()).toBeGreaterThan(before)
})

test.each([503, 429])('a storm of %i ends soon, and carries how long storage wants peace', async (status) => {
  await proxy.set({ kind: 'status', status, retryAfterSeconds: 7 })
  const before = proxy.struck()
  const refused = store.writeJson('note', {})
  await expect(refused).rejects.toMatchObject({ name: 'TransientError', retryAfterMs: 7_000 })
  expect(proxy.struck() - before).toBe(status === 503 ? 4 : 1)
  const remote = fetchFilm('http')
  await expect(remote).rejects.toMatchObject({ name: 'TransientError', retryAfterMs: 7_000 })
})

test.each(['hang', 'refuse'] as const)(
  'storage that does nothing but %s is to be tried again',
  async (kind) => {
    await proxy.set({ kind })
    const asked = [store.head('film'), store.writeJson('note', {}), fetchFilm('own')]
    const classes = await Promise.all(asked.map(async (each) => await each.then(() => 'done', classify)))
    expect(classes).toEqual(asked.map(() => 'transient'))
    await proxy.set({ kind: 'pass' })
    expect((await fetchFilm('own')).equals(film)).toBe(true)
  },
)

test.runIf(process.getuid?.() === 0)(
  'on a full disk the unused goes first; where that is not enough, it is said which disk is full',
  async () => {
    await proxy.set({ kind: 'pass' })
    const disk = join(dir, 'disk')
    await mkdir(disk)
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=5m', 'tmpfs', disk])
    try {
      const cache = createFileCache({ dir: join(disk, 'cache'), maxBytes: 1e9 })
      const fetch = async (to: string) => await store.download('film', to)
      await cache.take('unused', join(dir, 'elsewhere'), fetch)
      // It does not fit beside the first one, which nobody has a link to on this disk.
      await cache.take('used', join(disk, 'used'), fetch)
      expect((await stat(join(disk, 'used'))).size).toBe(film.length)
      const refused = cache.take('more', join(disk, 'more'), fetch)
      await expect(refused).rejects.toThrow(/The disk of .*cache is full: 0.00 of 0.01 GB are free/)
      await expect(refused).rejects.toSatisfy((error) => classify(error) === 'transient')
      expect(await readdir(join(disk, 'cache'))).toHaveLength(1)
    } finally {
      execFileSync('umount', [disk])
    }
  },
)

function randomBytes(count: number): Buffer {
  const { int } = seeded(7)
  return Buffer.from(Uint8Array.from({ length: count }, () => int(0, 255)))
}
