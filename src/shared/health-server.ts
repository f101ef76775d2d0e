import Fastify, { type FastifyInstance } from 'fastify'
import type { Registry } from 'prom-client'

export type Health = { registry: Registry; isReady: () => Promise<boolean> }

/** Alive, and ready for work: whoever reaches a role may ask. */
export function addHealthRoutes(app: FastifyInstance, { isReady }: Pick<Health, 'isReady'>): void {
  app.get('/healthz', { schema: { hide: true } }, async () => ({ status: 'ok' }))
  app.get('/readyz', { schema: { hide: true } }, async (_request, reply) => {
    const ready = await isReady().catch(() => false)
    return await reply.code(ready ? 200 : 503).send({ status: ready ? 'ready' : 'waiting' })
  })
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
