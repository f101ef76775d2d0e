import { BlobServiceClient } from '@azure/storage-blob'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { connectAccount } from '../../src/shared/blob-store.ts'
import { type Links, createLinks } from '../../src/shared/links.ts'
import { silent } from '../support/services.ts'
import { startTlsAzurite } from '../support/tls-azurite.ts'
import { useServices } from '../support/use-services.ts'

const services = useServices()
let tls: Awaited<ReturnType<typeof startTlsAzurite>>
beforeAll(async () => {
  tls = await startTlsAzurite()
})
afterAll(async () => await tls?.close())

const put = async (url: string, body: string, headers: Record<string, string> = {}) =>
  (await fetch(url, { method: 'PUT', body, headers })).status
const asBlob = { 'x-ms-blob-type': 'BlockBlob' }
const block = Buffer.from('000000').toString('base64')

describe.each([
  ['by its key', async () => connectAccount(services.mediaAccount)],
  ['by identity', async () => tls.service],
])('of an account that is reached %s', (way, connect) => {
  const container = 'people'
  let service: BlobServiceClient
  let links: Links
  beforeAll(async () => {
    service = await connect()
    links = createLinks(service, container, silent)
    await service.getContainerClient(container).create()
    await service.getContainerClient(container).getBlockBlobClient('made/by us.txt').upload('ours', 4)
  })
  const blob = (name: string) => service.getContainerClient(container).getBlockBlobClient(name)

  test('a link reads one blob, by whoever has it, and is saved by its name', async () => {
    const { url, expires } = await links.read('made/by us.txt', { fileName: 'Fête "1".mp4' })
    const answer = await fetch(url)
    expect({ status: answer.status, text: await answer.text() }).toEqual({ status: 200, text: 'ours' })
    expect(answer.headers.get('content-disposition')).toBe(
      `attachment; filename="F_te__1_.mp4"; filename*=UTF-8''F%C3%AAte%20%221%22.mp4`,
    )
    expect(expires.getTime() - Date.now()).toBeGreaterThan(59 * 60_000)
    expect(expires.getTime() - Date.now()).toBeLessThanOrEqual(60 * 60_000)
  })

  test('and nothing else: no other blob, no list, no change, not after its end', async () => {
    await blob('made/secret.txt').upload('secret', 6)
    const { url } = await links.read('made/by us.txt')
    const other = new URL(url)
    other.pathname = other.pathname.replace('by%20us', 'secret')
    expect((await fetch(other)).status).toBe(403)
    const list = new URL(url)
    list.pathname = list.pathname.split('/').slice(0, 3).join('/')
    for (const [name, value] of [
      ['restype', 'container'],
      ['comp', 'list'],
    ] as const)
      list.searchParams.set(name, value)
    expect((await fetch(list)).status).toBe(403)
    expect(await put(url, 'theirs', asBlob)).toBe(403)
    expect((await fetch(url, { method: 'DELETE' })).status).toBe(403)
    expect((await fetch((await links.read('made/by us.txt', { minutes: -1 })).url)).status).toBe(403)
    expect((await blob('made/by us.txt').downloadToBuffer()).toString()).toBe('ours')
    const query = new URL(url).searchParams
    expect([query.get('sp'), query.get('sr'), query.get('sip')]).toEqual(['r', 'b', null])
    expect(query.get('spr')).toBe(way === 'by identity' ? 'https' : 'https,http')
  })

  test('a link writes one blob, in blocks, and asks which are there', async () => {
    const { url } = await links.write('uploads/new.mp4')
    expect(await put(`${url}&comp=block&blockid=${encodeURIComponent(block)}`, 'frames')).toBe(201)
    const listed = await fetch(`${url}&comp=blocklist&blocklisttype=uncommitted`)
    expect(await listed.text()).toContain(`<Name>${block}</Name>`)
    const list = `<?xml version="1.0" encoding="utf-8"?><BlockList><Latest>${block}</Latest></BlockList>`
    expect(await put(`${url}&comp=blocklist`, list)).toBe(201)
    expect((await blob('uploads/new.mp4').downloadToBuffer()).toString()).toBe('frames')
    expect((await fetch(url, { method: 'DELETE' })).status).toBe(403)
    const other = url.replace('new.mp4', 'other.mp4')
    expect(await put(other, 'theirs', asBlob)).toBe(403)
  })

  test('no link is good for longer than an hour', async () => {
    const { expires } = await links.read('made/by us.txt', { minutes: 24 * 60 })
    expect(expires.getTime() - Date.now()).toBeLessThanOrEqual(60 * 60_000)
  })
})

test('one key of the directory signs many links, and a new one is asked for before it ends', async () => {
  const links = createLinks(tls.service, 'people', silent)
  const keysBefore = tls.asked.length
  const made = await Promise.all(Array.from({ length: 20 }, async (_, i) => await links.read(`clip-${i}`)))
  expect(new Set(made.map(({ url }) => new URL(url).searchParams.get('skoid')))).toEqual(
    new Set(['an-object']),
  )
  expect(tls.asked.slice(keysBefore)).toEqual(['POST ?restype=service&comp=userdelegationkey'])
  for (const { url, expires } of made) {
    expect(Date.parse(new URL(url).searchParams.get('ske') ?? '')).toBeGreaterThan(expires.getTime())
  }
})

test('a key that could not be had is asked for again', async () => {
  const lines: string[] = []
  const log = { error: (_: object, line: string) => void lines.push(line) } as never
  const away = new BlobServiceClient('https://127.0.0.1:1/media', tls.service.credential, {
    retryOptions: { maxTries: 1 },
  })
  const links = createLinks(away, 'people', log)
  for (let i = 0; i < 2; i += 1) await expect(links.read('clip')).rejects.toThrow(/ECONNREFUSED/)
  expect(lines).toEqual(
    Array.from({ length: 2 }, () => expect.stringMatching(/the role Storage Blob Delegator/)),
  )
})

test('people reach an account by the URL that the settings give', async () => {
  const service = connectAccount(services.mediaAccount)
  const publicUrl = service.url.replace('127.0.0.1', 'localhost')
  await service.getContainerClient('shown').create()
  await service.getContainerClient('shown').getBlockBlobClient('a.txt').upload('a', 1)
  const links = createLinks(service, 'shown', silent, { publicUrl })
  const { url } = await links.read('a.txt')
  expect([new URL(url).hostname, links.origin]).toEqual(['localhost', new URL(publicUrl).origin])
  expect(await (await fetch(url)).text()).toBe('a')
})

test('an account that is reached by a SAS makes no links', async () => {
  const links = createLinks(connectAccount('https://media.example.com/?sv=1&sig=x'), 'people', silent)
  await expect(links.read('a.txt')).rejects.toMatchObject({ code: 'no-links', name: 'InputError' })
})
