import type { FastifyInstance } from 'fastify'
import type { ZodTypeProvider } from 'fastify-type-provider-zod'
import pMap from 'p-map'
import { z } from 'zod'
import type { BlobStore } from '../../shared/blob-store.ts'
import { InputError, TransientError } from '../../shared/errors.ts'
import { Problem } from '../problem.ts'
import type { Arrive } from './arrive.ts'
import { namesIn, readEvents } from './event.ts'

export type EventRoutesDeps = { media: Pick<BlobStore, 'nameOf'>; arrive: Arrive }

const Taken = z.union([
  z.object({ validationResponse: z.string() }),
  z.object({ events: z.int(), outcomes: z.record(z.string(), z.int()) }),
])

const tags = ['triggers']
const errors = { 400: Problem, 401: Problem, 403: Problem, 422: Problem }

/** Event Grid sends at most as much, and wants an answer within 30 s. */
const mostBytes = 1 << 20
const mostEvents = 1_000
const answerWithinMs = 20_000
const atOnce = 8

/** `/v1/events`: where Event Grid says that videos have landed, with the handshakes of both its schemas. */
export function addEventRoutes(root: FastifyInstance, { media, arrive }: EventRoutesDeps): void {
  void root.register(async (scope) => {
    const types = ['application/cloudevents+json', 'application/cloudevents-batch+json']
    scope.addContentTypeParser(types, { parseAs: 'string' }, scope.getDefaultJsonParser('error', 'error'))
    const hook = scope.withTypeProvider<ZodTypeProvider>()

    hook.post(
      '/v1/events',
      {
        config: { role: 'Job.Submit' },
        bodyLimit: mostBytes,
        schema: {
          tags,
          summary: 'Say that videos have landed',
          description:
            "For Event Grid's webhooks: its own schema or CloudEvents 1.0, one event or many, and the handshakes of both. Safe to send again.",
          body: z.unknown(),
          response: { 200: Taken, 429: Problem, ...errors },
        },
      },
      async ({ body }) => {
        const events = readEvents(body)
        if (!events) throw badEvents('The body is no event of Event Grid, nor a list of some.')
        if (events.length > mostEvents)
          throw badEvents(`${events.length} events; ${mostEvents} are the limit.`)
        for (const event of events) if (event.kind === 'validation') return { validationResponse: event.code }
        const until = performance.now() + answerWithinMs
        const outcomes: Record<string, number> = {}
        await pMap(
          events,
          async (event) => {
            if (performance.now() > until)
              throw new TransientError('Too many events for one answer; the rest again.')
            const names = event.kind === 'blob' ? namesIn(event, media.nameOf) : []
            const { outcome } = names.length > 0 ? await arrive(names, { way: 'webhook' }) : ignored
            outcomes[outcome] = (outcomes[outcome] ?? 0) + 1
          },
          { concurrency: atOnce },
        )
        return { events: events.length, outcomes }
      },
    )

    // A CloudEvents sender asks first whether it may send: a token says so, as it does of what is sent.
    hook.options(
      '/v1/events',
      { config: { role: 'Job.Submit' }, schema: { hide: true } },
      async (request, reply) => {
        const origin = request.headers['webhook-request-origin']
        if (typeof origin !== 'string' || !/^[\w.:-]{1,200}$/.test(origin))
          throw badEvents('WebHook-Request-Origin is missing, or no host.')
        return await reply.header('webhook-allowed-origin', origin).header('webhook-allowed-rate', '*').send()
      },
    )
  })
}

const ignored = { outcome: 'ignored' } as const

const badEvents = (message: string) => new InputError('bad-events', message)
