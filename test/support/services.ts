import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { randomUUID } from 'node:crypto'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { keptSecrets, startAzurite, startRedis } from '../../src/cli/embedded-services.ts'
import { connectAccount, createBlobStore } from '../../src/shared/blob-store.ts'
import { connectRedis } from '../../src/shared/redis.ts'

/** A log that says nothing, for parts that want one. */
export const silent = pino({ level: 'silent' })

/** The settings of a Redis that knows us by the password in its URL. */
export const byUrl = (url: string) => ({ FRAMEFLEET_REDIS_URL: url, FRAMEFLEET_REDIS_AUTH: 'url' }) as const

/** A real Redis and a real Azurite for one test file; every test takes a namespace of its own in them. */
export async function startServices() {
  const dir = await mkdtemp(join(tmpdir(), 'framefleet-services-'))
  await mkdir(join(dir, 'logs'))
  const secrets = await keptSecrets(dir)
  const started = await Promise.all([startRedis(dir, secrets, {}), startAzurite(dir, secrets, {})]).catch(
    async (error: unknown) => {
      await rm(dir, { recursive: true, force: true })
      throw error
    },
  )
  const env = { ...started[0].env, ...started[1].env }
  const redisUrl = env['FRAMEFLEET_REDIS_URL'] ?? ''
  const connections: ReturnType<typeof connectRedis>[] = []
  const connect = (name = 'test') => {
    const connection = connectRedis(byUrl(redisUrl), silent, { name })
    connections.push(connection)
    return connection
  }
  return {
    ...{ dir, connect, redisUrl, mediaAccount: env['FRAMEFLEET_MEDIA_ACCOUNT'] ?? '' },
    prefix: () => `{test-${randomUUID()}}`,
    async container() {
      const store = createBlobStore(
        connectAccount(env['FRAMEFLEET_MEDIA_ACCOUNT'] ?? ''),
        `test-${randomUUID().slice(0, 18)}`,
      )
      await store.ensureContainer()
      return store
    },
    async stop() {
      for (const connection of connections) connection.disconnect()
      await Promise.all(started.map(async ({ service }) => await service?.stop(5_000)))
      await rm(dir, { recursive: true, force: true })
    },
  }
}

export type TestServices = Awaited<ReturnType<typeof startServices>>
