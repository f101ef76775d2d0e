import { promisify } from 'node:util'
import { gunzip } from 'node:zlib'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { ZodTypeProvider } from 'fastify-type-provider-zod'
import { Counter, Gauge, type Registry } from 'prom-client'
import { z } from 'zod'
import { InputError } from '../../shared/errors.ts'
import { TooManyRequests } from '../fair-share.ts'
import { Problem } from '../problem.ts'
import { mostErrors, readReadings } from './reading.ts'
import type { ReadingsBuffer } from './readings-buffer.ts'

export type ReadingsRoutesDeps = { buffer: ReadingsBuffer; registry: Registry; now?: () => number }

/** Of a body, as it is sent and as it is once unpacked. */
const mostBytes = 4 << 20
/** Bodies that are held at once. */
const mostAtOnce = 16

const Taken = z
  .object({
    taken: z.int().describe('readings that are kept now'),
    late: z
      .int()
      .describe('those of them whose own hour was closed: they are kept under the oldest hour that is open'),
    refused: z.int().describe('lines that are no readings'),
    errors: z
      .array(z.object({ line: z.int(), message: z.string() }))
      .describe(`the first ${mostErrors} of those, by their number from 1`),
  })
  .meta({ id: 'ReadingsTaken' })

const types = ['application/x-ndjson', 'application/ndjson', 'application/jsonl', 'text/plain']
const unpack = promisify(gunzip)

/** `POST /v1/readings`: what devices measure, kept by the hour for the jobs that score it. */
export function addReadingsRoutes(root: FastifyInstance, deps: ReadingsRoutesDeps): void {
  const { buffer, registry, now = Date.now } = deps
  const count = new Counter({
    name: 'framefleet_readings_total',
    help: 'Readings that came, by what became of them',
    labelNames: ['outcome'],
    registers: [registry],
  })
  const waiting: Gauge = new Gauge({
    name: 'framefleet_readings_waiting_bytes',
    help: 'Readings that wait for storage to take them',
    registers: [registry],
    collect() {
      waiting.set(buffer.waitingBytes())
    },
  })
  let underWay = 0
  // Before a body is read: each is held whole.
  async function admit(_request: FastifyRequest, reply: FastifyReply): Promise<void> {
    if (underWay >= mostAtOnce)
      throw new TooManyRequests(`${mostAtOnce} bodies of readings are being taken already.`)
    // Who went away while the token was looked at has closed already; nothing more of the body comes.
    if (reply.raw.destroyed) throw badReadings('The caller went away.')
    underWay += 1
    reply.raw.once('close', () => (underWay -= 1))
  }

  void root.register(async (scope) => {
    scope.removeAllContentTypeParsers()
    scope.addContentTypeParser(types, { parseAs: 'buffer' }, (_request, body, done) => done(null, body))
    scope.withTypeProvider<ZodTypeProvider>().post(
      '/v1/readings',
      {
        config: { role: 'Job.Submit' },
        bodyLimit: mostBytes,
        onRequest: admit,
        schema: {
          tags: ['readings'],
          summary: 'Send what devices measured',
          description:
            'NDJSON, a reading a line: `{"TS", "Device", "Tag", "Val"}`, the time with its zone; further fields are kept. May come with `Content-Encoding: gzip`; 4 MiB at most, unpacked. What is counted as taken is kept; where no answer comes, or 429 or 503, send all of it again: a reading may then be there twice. 207 says that some lines were no readings.',
          consumes: ['application/x-ndjson'],
          body: z.unknown(),
          response: {
            ...{ 200: Taken, 207: Taken },
            ...{ 400: Problem, 401: Problem, 403: Problem, 413: Problem, 415: Problem, 429: Problem },
          },
        },
      },
      async ({ body, headers }, reply) => {
        if (!Buffer.isBuffer(body)) throw badReadings('There is no body; readings are sent as NDJSON.')
        const bytes = await plain(body, headers['content-encoding'])
        const { readings, bad, refused } = await readReadings(bytes, now())
        const { taken, late } = readings.length > 0 ? await buffer.take(readings) : { taken: 0, late: 0 }
        count.inc({ outcome: 'taken' }, taken - late)
        count.inc({ outcome: 'late' }, late)
        count.inc({ outcome: 'refused' }, refused)
        return await reply.code(refused > 0 ? 207 : 200).send({ taken, late, refused, errors: bad })
      },
    )
  })
}

async function plain(body: Buffer, encoding = 'identity'): Promise<Buffer> {
  if (encoding === 'identity') return body
  if (encoding !== 'gzip')
    throw new InputError(
      'bad-encoding',
      `Content-Encoding may be gzip, or none; not ${encoding.slice(0, 40)}.`,
    )
  try {
    return await unpack(body, { maxOutputLength: mostBytes })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_BUFFER_TOO_LARGE')
      throw badReadings('The body says that it is gzip, and is not, or not whole.')
    throw new InputError(
      'readings-too-large',
      `The body unpacks to more than ${mostBytes >> 20} MiB; send it in parts.`,
    )
  }
}

const badReadings = (message: string) => new InputError('bad-readings', message)
