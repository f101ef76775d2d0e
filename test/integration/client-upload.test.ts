import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { BlobSASPermissions } from '@azure/storage-blob'
import { expect, test } from 'vitest'
import { createClient } from '../../src/client/client.ts'
import { connectAccount } from '../../src/shared/blob-store.ts'
import { tempDir } from '../support/temp-dir.ts'
import { closedAfterEach, useServices } from '../support/use-services.ts'

const dir = tempDir()
const services = useServices()
const opened = closedAfterEach()

/** The one route of the API that an upload asks; what it says of a link's end is not the link's own. */
async function startApi({
  told,
  cutOff = () => false,
}: {
  told: number
  cutOff?: (time: number) => boolean
}) {
  const media = await services.container()
  const container = new URL(media.url('')).pathname.split('/').at(-1) ?? ''
  const blob = connectAccount(services.mediaAccount).getContainerClient(container).getBlockBlobClient('in/a')
  const sas = { permissions: BlobSASPermissions.parse('racw'), expiresOn: new Date(Date.now() + 3_600_000) }
  const url = await blob.generateSasUrl(sas)
  let times = 0
  const server = createServer((request, response) => {
    request.resume().once('end', () => {
      if (cutOff(++times)) {
        request.socket.destroy()
        return
      }
      const expires = new Date(Date.now() + told * 1_000).toISOString()
      response.writeHead(201, { 'content-type': 'application/json' })
      response.end(JSON.stringify({ url, source: blob.url, expires }))
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  opened.push({
    close: async () => {
      server.closeAllConnections()
      server.close()
    },
  })
  const { port } = server.address() as AddressInfo
  const client = createClient({ url: `http://127.0.0.1:${port}`, token: 'x' })
  return { client, blob, times: () => times }
}

/** Six blocks of the least size. */
const blockBytes = 1 << 20
const bytes = randomBytes(6 * blockBytes)
async function film(): Promise<string> {
  const path = join(dir, 'film.mp4')
  await writeFile(path, bytes)
  return path
}

test('a link for a minute is good for many blocks', async () => {
  const { client, blob, times } = await startApi({ told: 60 })
  await client.upload(await film(), { stateDir: join(dir, 'a'), blockBytes })
  expect(bytes.equals(await blob.downloadToBuffer())).toBe(true)
  expect(times()).toBe(1)
})

test('a link that is over is renewed for all blocks at once, and once more where nobody answers', async () => {
  const { client, blob, times } = await startApi({ told: -1, cutOff: (time) => time % 2 === 0 })
  await client.upload(await film(), { stateDir: join(dir, 'b'), blockBytes })
  expect(bytes.equals(await blob.downloadToBuffer())).toBe(true)
  expect(times()).toBeGreaterThan(3)
})
