import Fastify, { type FastifyInstance } from 'fastify'
import type { Registry } from 'prom-client'

export type Health = { registry: Registry; isReady: () => Promise<boolean> }

/** Alive, and ready for work: whoever reaches a role may ask. */
export function addHealthRoutes(app: FastifyInstance, health: Pick<Health, 'isReady'>): void {
  const isReady = keptForASecond(health.isReady)
  app.get('/healthz', { schema: { hide: true } }, async () => ({ status: 'ok' }))
  app.get('/readyz', { schema: { hide: true } }, async (_request, reply) => {
    const ready = await isReady()
    return await reply.code(ready ? 200 : 503).send({ status: ready ? 'ready' : 'waiting' })
  })
}

/** However many ask, storage and Redis are asked once a second, and once at a time. */
function keptForASecond(look: () => Promise<boolean>, forMs = 1_000): () => Promise<boolean> {
  let answer: Promise<boolean> | undefined
  return async () => {
    answer ??= look()
      .catch(() => false)
      .finally(() => setTimeout(() => (answer = undefined), forMs).unref())
    return await answer
  }
}

/**
 * These pages and the metrics, on a port of their own that every role has and only those who look after it should
 * reach. Port 0 means none.
 */
export async function startHealthServer(health: Health, address: { host: string; port: number }) {
  if (address.port === 0) return { close: async () => {} }
  const app = Fastify({ logger: false, forceCloseConnections: true })
  addHealthRoutes(app, health)
  app.get('/metrics', async (_request, reply) => {
    const { registry } = health
    return await reply.type(registry.contentType).send(await registry.metrics())
  })
  await app.listen(address)
  return { close: async () => await app.close() }
}
