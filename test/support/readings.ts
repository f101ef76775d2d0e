import Fastify from 'fastify'
import { serializerCompiler, validatorCompiler } from 'fastify-type-provider-zod'
import { Registry } from 'prom-client'
import { type AuthDeps, requireToken } from '../../src/producer/auth.ts'
import { handleErrors } from '../../src/producer/problem.ts'
import { createReadingsBuffer } from '../../src/producer/readings/readings-buffer.ts'
import { addReadingsRoutes } from '../../src/producer/readings/readings-routes.ts'
import type { BlobStore } from '../../src/shared/blob-store.ts'

type Options = Partial<Parameters<typeof createReadingsBuffer>[1]> & Pick<AuthDeps, 'readToken'>

/** The readings' route as a producer has it, over this storage; listens on a free port. Asks for tokens where `readToken` reads them. */
export async function startReadings(media: BlobStore, { readToken, ...options }: Options = {}) {
  const app = Fastify({ forceCloseConnections: true })
  app.setValidatorCompiler(validatorCompiler)
  app.setSerializerCompiler(serializerCompiler)
  handleErrors(app)
  if (readToken) requireToken(app, { tokens: [], readToken })
  const buffer = createReadingsBuffer(media, { instance: 'a', graceMs: 300_000, ...options })
  addReadingsRoutes(app, {
    buffer,
    registry: new Registry(),
    ...(options.now ? { now: options.now } : {}),
  })
  const url = await app.listen({ host: '127.0.0.1', port: 0 })
  return { app, url: `${url}/v1/readings` }
}
