import type { Queue } from 'bullmq'
import { createBullBoard } from '@bull-board/api'
import { FastifyAdapter } from '@bull-board/fastify'
import Fastify, { type FastifyBaseLogger, type FastifyInstance } from 'fastify'
import { serializerCompiler, validatorCompiler } from 'fastify-type-provider-zod'
import type { Registry } from 'prom-client'
import { type Health, addHealthRoutes } from '../shared/health-server.ts'
import type { Logger } from '../shared/log.ts'
import { describeApi } from './api-docs.ts'
import { giveRole } from './api-role.ts'
import { type AuthDeps, requireToken } from './auth.ts'
import { limitRates } from './fair-share.ts'
import { type FleetDeps, addFleetRoutes } from './fleet-routes.ts'
import { type LogRoutesDeps, addLogRoutes } from './log-routes.ts'
import { type LinkRoutesDeps, addLinkRoutes } from './link-routes.ts'
import { type JobRoutesDeps, addJobRoutes, createJobViews } from './job-routes.ts'
import { observeRequests } from './http-metrics.ts'
import { answerBroken, handleErrors, sendProblem } from './problem.ts'
import { type QuarantineDeps, addQuarantineRoutes } from './quarantine-routes.ts'
import { type BatchRoutesDeps, addBatchRoutes } from './batch-routes.ts'
import { addModelRoutes } from './model-routes.ts'
import { addPageRoutes } from './page/page-routes.ts'
import { addStreamRoutes } from './stream-routes.ts'
import { createLiveJobs } from './live-jobs.ts'
import { viewOfStatus } from './job-view.ts'
import { addResumeRoutes } from './resume-routes.ts'
import { type EventRoutesDeps, addEventRoutes } from './triggers/event-routes.ts'
import { type ReadingsRoutesDeps, addReadingsRoutes } from './readings/readings-routes.ts'
import { type TriggerRoutesDeps, addTriggerRoutes } from './triggers/trigger-routes.ts'
import { type ScheduleRoutesDeps, addScheduleRoutes } from './schedules/schedule-routes.ts'
import { BoardAdapter } from './board-adapter.ts'

type ServerDeps = JobRoutesDeps &
  QuarantineDeps &
  AuthDeps &
  LogRoutesDeps &
  LinkRoutesDeps & {
    fleet: FleetDeps
    batches: BatchRoutesDeps
    readings: Pick<ReadingsRoutesDeps, 'buffer'>
    triggers: TriggerRoutesDeps & EventRoutesDeps
    schedules: ScheduleRoutesDeps
    isReady: Health['isReady']
    log: Logger
    registry: Registry
    /** Whether `/docs` needs no token. */
    docsOpen: boolean
    /** Requests that are taken of one caller. */
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
    clientErrorHandler: answerBroken,
    forceCloseConnections: true,
  })
  app.setValidatorCompiler(validatorCompiler)
  app.setSerializerCompiler(serializerCompiler)
  handleErrors(app)
  observeRequests(app, deps.registry)
  // Nothing of ours is shown within another page, nor taken for what it does not say it is. The page has a policy of its own.
  app.addHook('onRequest', async (_request, reply) => {
    void reply
      .header('content-security-policy', "frame-ancestors 'none'")
      .header('x-content-type-options', 'nosniff')
  })
  requireToken(app, deps)
  await limitRates(app, deps.maxRequestsPerSecond)
  app.addHook('onResponse', async (request, reply) => {
    const { method, client } = request
    const path = request.url.split('?')[0]
    // Who changed something is asked later; who looked, or was refused, seldom.
    const changed = !['GET', 'HEAD', 'OPTIONS'].includes(method) && reply.statusCode < 400
    request.log[changed ? 'info' : 'debug'](
      { method, path, status: reply.statusCode, ms: Math.round(reply.elapsedTime), client },
      'answered',
    )
  })

  await describeApi(app, deps)

  await app.register(async (scope) => {
    giveRole(scope, 'open')
    addHealthRoutes(scope, deps)
  })
  addJobRoutes(app, deps)
  addResumeRoutes(app, deps.resume)
  addQuarantineRoutes(app, deps)
  addFleetRoutes(app, deps.fleet)
  addLinkRoutes(app, deps)
  addTriggerRoutes(app, deps.triggers)
  addEventRoutes(app, deps.triggers)
  addScheduleRoutes(app, deps.schedules)
  addReadingsRoutes(app, { ...deps.readings, registry: deps.registry })
  addLogRoutes(app, deps)
  addModelRoutes(app, deps.models)
  addBatchRoutes(app, deps.batches)
  const live = createLiveJobs({
    ...deps,
    view: (status) => viewOfStatus(status, Date.now(), deps.hourPrice),
  })
  addStreamRoutes(app, { live, view: createJobViews(deps) })
  await addPageRoutes(app, [deps.links.origin])

  const board = new FastifyAdapter()
  createBullBoard({
    queues: deps.boardQueues.map((queue) => new BoardAdapter(queue, { readOnlyMode: deps.boardReadOnly })),
    serverAdapter: board,
    options: { uiConfig: { boardTitle: 'framefleet' } },
  })
  board.setBasePath('/queues')
  await app.register(async (scope) => {
    giveRole(scope, 'Fleet.Admin')
    await scope.register(board.registerPlugin(), { prefix: '/queues' })
  })
  return app
}
