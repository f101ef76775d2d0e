import type { FastifyInstance } from 'fastify'
import { Histogram, type Registry } from 'prom-client'

/** How long the API takes to answer, by route as it was written, not as it was asked for. To be called before routes are added. */
export function observeRequests(app: FastifyInstance, registry: Registry): void {
  const seconds = new Histogram({
    name: 'framefleet_http_request_seconds',
    help: 'Seconds until a request was answered, by route and status',
    labelNames: ['method', 'route', 'status'],
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    registers: [registry],
  })
  app.addHook('onResponse', async (request, reply) => {
    const route = request.is404 ? 'none' : (request.routeOptions.url ?? 'none')
    // Streams last for as long as somebody looks on.
    if (route.endsWith('/stream')) return
    seconds.observe({ method: request.method, route, status: reply.statusCode }, reply.elapsedTime / 1_000)
  })
}
