import { randomBytes, randomUUID } from 'node:crypto'
import { createRequire } from 'node:module'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { QueueServiceClient } from '@azure/storage-queue'
import { afterAll, beforeAll } from 'vitest'
import { freePort, startService } from '../../src/cli/services.ts'
import type { Service } from '../../src/shared/role-process.ts'

const main = join(
  dirname(createRequire(import.meta.url).resolve('azurite/package.json')),
  'dist/src/queue/main.js',
)

/** A real Azurite queue service for all tests of a file. */
export function useStorageQueues() {
  const key = randomBytes(64).toString('base64')
  let dir = ''
  let port = 0
  let service: Service | undefined
  const start = async () => {
    service = await startService({
      name: 'azurite-queue',
      command: process.execPath,
      args: [
        ...[main, '--queueHost', '127.0.0.1', '--queuePort', String(port), '--location', dir],
        ...['--disableTelemetry', '--skipApiVersionCheck'],
      ],
      env: { ...process.env, AZURITE_ACCOUNTS: `media:${key}` },
      ready: /successfully listens/,
      logFile: join(dir, 'azurite.log'),
    })
  }
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'framefleet-queues-'))
    port = await freePort()
    await start()
  })
  afterAll(async () => {
    await service?.stop(5_000)
    await rm(dir, { recursive: true, force: true })
  })
  const account = () =>
    `DefaultEndpointsProtocol=http;AccountName=media;AccountKey=${key};QueueEndpoint=http://127.0.0.1:${port}/media`
  return {
    start,
    stop: async () => await service?.stop(5_000),
    /** A queue of its own, and the setting that names it. */
    async create() {
      const name = `arrivals-${randomUUID().slice(0, 8)}`
      const client = QueueServiceClient.fromConnectionString(account()).getQueueClient(name)
      await client.create()
      return { client, setting: `${account()};QueueName=${name}` }
    },
  }
}
