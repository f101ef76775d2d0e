import type { Queue } from 'bullmq'
import { createBullBoard } from '@bull-board/api'
import { FastifyAdapter } from '@bull-board/fastify'
import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import Fastify, { type FastifyBaseLogger, type FastifyInstance } from 'fastify'
import {
  type ZodTypeProvider,
  jsonSchemaTransform,
  jsonSchemaTransformObject,
  serializerCompiler,
  validatorCompiler,
} from 'fastify-type-provider-zod'
import { z } from 'zod'
import { type Health, addHealthRoutes } from '../shared/health-server.ts'
import type { Logger } from '../shared/log.ts'
import { ModelManifest } from '../shared/models/manifest.ts'
import { requireToken } from './auth.ts'
import { limitRates } from './fair-share.ts'
import { type FleetDeps, addFleetRoutes } from './fleet-routes.ts'
import { type JobRoutesDeps, addJobRoutes } from './job-routes.ts'
import { handleErrors, sendProblem } from './problem.ts'
import { type QuarantineDeps, addQuarantineRoutes } from './quarantine-routes.ts'
import { addResumeRoutes } from './resume-routes.ts'
import { BoardAdapter } from './board-adapter.ts'

type ServerDeps = JobRoutesDeps &
  QuarantineDeps & {
    fleet: FleetDeps
    health: Health
    log: Logger
    tokens: string[]
    /** Requests that are taken with one token. */
    maxRequestsPerSecond: number
    boardQueues: Queue[]
    boardReadOnly: boolean
  }

/** The producer's HTTP server: the API, its docs, Bull Board and the health pages. */
export async function createServer(deps: ServerDeps): Promise<FastifyInstance> {
  // Fastify's types take the logger's own type for the server's; roles know it as a logger, no more.
  const logger: FastifyBaseLogger = deps.log
  const app = Fastify({
    // Its own request lines carry whole URLs; ours, below, carry paths.
    loggerInstance: logger,
    disableRequestLogging: true,
    bodyLimit: 64 << 10,
    // A path that can't even be decoded never reaches the routes.
    frameworkErrors: (error, _request, reply) =>
      void sendProblem(reply, { status: 400, code: 'bad-request', detail: error.message }),
    forceCloseConnections: true,
  })
  app.setValidatorCompiler(validatorCompiler)
  app.setSerializerCompiler(serializerCompiler)
  handleErrors(app)
  requireToken(app, deps.tokens)
  await limitRates(app, deps.maxRequestsPerSecond)
  app.addHook('onResponse', async (request, reply) => {
    const { method } = request
    const path = request.url.split('?')[0]
    request.log.debug(
      { method, path, status: reply.statusCode, ms: Math.round(reply.elapsedTime) },
      'answered',
    )
  })

  await app.register(swagger, {
    openapi: {
      info: { title: 'framefleet', version: '1', description: 'Every frame of a video, scored by a model.' },
      components: { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } },
      security: [{ token: [] }],
      tags: [
        { name: 'jobs', description: 'Submit a video, follow it, fetch what came of it' },
        { name: 'models', description: 'What a job may name' },
        { name: 'fleet', description: 'Who is there to work, and how many may be' },
        { name: 'quarantine', description: 'What was taken out of the way, with its evidence' },
      ],
    },
    transform: jsonSchemaTransform,
    transformObject: jsonSchemaTransformObject,
  })
  await app.register(swaggerUi, {
    routePrefix: '/docs',
    theme: {
      title: 'framefleet API',
      css: [{ filename: 'plain.css', content: '.topbar { display: none }' }],
    },
  })

  addHealthRoutes(app, deps.health)
  addJobRoutes(app, deps)
  addResumeRoutes(app, deps.resume)
  addQuarantineRoutes(app, deps)
  addFleetRoutes(app, deps.fleet)
  app.withTypeProvider<ZodTypeProvider>().get(
    '/v1/models',
    {
      schema: {
        tags: ['models'],
        summary: 'The models a job may name',
        response: { 200: z.object({ models: z.array(ModelManifest) }) },
      },
    },
    async () => ({ models: await deps.models.list() }),
  )

  const board = new FastifyAdapter()
  createBullBoard({
    queues: deps.boardQueues.map((queue) => new BoardAdapter(queue, { readOnlyMode: deps.boardReadOnly })),
    serverAdapter: board,
    options: { uiConfig: { boardTitle: 'framefleet' } },
  })
  board.setBasePath('/queues')
  await app.register(board.registerPlugin(), { prefix: '/queues' })
  return app
}
