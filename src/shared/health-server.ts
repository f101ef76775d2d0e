import Fastify, { type FastifyInstance } from 'fastify'
import type { Registry } from 'prom-client'

export type Health = { registry: Registry; isReady: () => Promise<boolean> }

/** The three pages that every role serves: alive, ready for work, metrics. They need no token. */
export function addHealthRoutes(app: FastifyInstance, { registry, isReady }: Health): void {
  app.get('/healthz', { schema: { hide: true } }, async () => ({ status: 'ok' }))
  app.get('/readyz', { schema: { hide: true } }, async (_request, reply) => {
    const ready = await isReady().catch(() => false)
    return await reply.code(ready ? 200 : 503).send({ status: ready ? 'ready' : 'waiting' })
  })
  app.get('/metrics', { schema: { hide: true } }, async (_request, reply) => {
    return await reply.type(registry.contentType).send(await registry.metrics())
  })
}

/** A server with these pages alone, for roles without an API. Port 0 means none. */
export async function startHealthServer(health: Health, address: { host: string; port: number }) {
  if (address.port === 0) return { close: async () => {} }
  const app = Fastify({ logger: false, forceCloseConnections: true })
  addHealthRoutes(app, health)
  await app.listen(address)
  return { close: async () => await app.close() }
}
