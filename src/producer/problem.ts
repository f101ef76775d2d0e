import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import type { ConnectionError, FastifyError, FastifyInstance, FastifyReply } from 'fastify'
import { hasZodFastifySchemaValidationErrors } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { classify } from '../shared/classify.ts'
import { InputError } from '../shared/errors.ts'
import { redact } from '../shared/redact.ts'
import { TooMuchQueued } from './admission.ts'
import { TooManyRequests } from './fair-share.ts'

/** RFC 9457: the body of every error the API gives. */
export const Problem = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.number().int(),
    detail: z.string(),
    code: z.string().describe('a stable word for programs'),
    errors: z.array(z.object({ field: z.string(), message: z.string() })).optional(),
    line: z
      .object({ frames: z.number().int(), jobs: z.number().int() })
      .optional()
      .describe('with too-much-queued: what is before the job'),
  })
  .meta({ id: 'Problem' })
type Problem = z.infer<typeof Problem>

const statusOfCode: Record<string, number> = {
  'job-unknown': 404,
  'not-there': 404,
  'record-unknown': 404,
  'schedule-unknown': 404,
  'bad-events': 400,
  'bad-readings': 400,
  'readings-too-large': 413,
  'bad-encoding': 415,
  'job-ended': 409,
  'job-open': 409,
  'job-ending': 409,
  'upload-done': 409,
  'no-links': 501,
  'secret-gone': 409,
  'no-frames': 409,
  'too-much-queued': 429,
  'too-many-requests': 429,
}

type Given = Omit<Problem, 'type' | 'title'>

const whole = (problem: Given): string =>
  JSON.stringify({
    type: `urn:framefleet:${problem.code}`,
    title: STATUS_CODES[problem.status] ?? 'Error',
    ...problem,
  } satisfies Problem)

export function sendProblem(reply: FastifyReply, problem: Given) {
  return reply.code(problem.status).type('application/problem+json').send(whole(problem))
}

const ofConnections: Record<string, [status: number, detail: string]> = {
  HPE_HEADER_OVERFLOW: [431, 'The headers are larger than 16 KiB; is the token one?'],
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'The request did not come whole in time.'],
}

/** Answers what can't be read as a request, which never becomes one. */
export function answerBroken(error: ConnectionError, socket: Socket): void {
  if (error.code === 'ECONNRESET' || socket.destroyed) return
  const [status, detail] = ofConnections[error.code] ?? [400, 'This is not HTTP.']
  const body = whole({ status, code: 'bad-request', detail })
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    'content-type: application/problem+json',
    `content-length: ${Buffer.byteLength(body)}`,
    'connection: close',
  ]
  if (socket.writable) socket.write(`${head.join('\r\n')}\r\n\r\n${body}`)
  socket.destroy(error)
}

/** Every error leaves as one sentence with the right status; only our own faults are logged as errors. */
export function handleErrors(app: FastifyInstance): void {
  app.setNotFoundHandler((request, reply) =>
    sendProblem(reply, {
      status: 404,
      code: 'not-found',
      detail: `There is no ${request.method} ${request.url.split('?')[0]}.`,
    }),
  )
  app.setErrorHandler((error: FastifyError, request, reply) => {
    if (hasZodFastifySchemaValidationErrors(error)) {
      const errors = error.validation.map((issue) => ({
        field: issue.instancePath.replace(/^\//, '').replaceAll('/', '.') || 'body',
        message: issue.message ?? 'is not valid',
      }))
      const detail = errors.map(({ field, message }) => `${field}: ${message}`).join('; ')
      return sendProblem(reply, { status: 400, code: 'bad-request', detail, errors })
    }
    if (error instanceof InputError) {
      const waits = error instanceof TooMuchQueued || error instanceof TooManyRequests
      if (waits) void reply.header('retry-after', String(error.retryAfterSeconds))
      return sendProblem(reply, {
        status: statusOfCode[error.code] ?? 422,
        code: error.code,
        detail: redact(error.message),
        ...(error instanceof TooMuchQueued ? { line: error.line } : {}),
      })
    }
    if (error.statusCode && error.statusCode < 500 && error.code?.startsWith('FST_')) {
      const most = `The body is larger than ${request.routeOptions.bodyLimit >> 10} KiB.`
      const detail = error.statusCode === 413 ? most : redact(error.message)
      return sendProblem(reply, { status: error.statusCode, code: 'bad-request', detail })
    }
    request.log.error({ err: error }, 'request failed')
    if (classify(error) === 'transient') {
      void reply.header('retry-after', '5')
      return sendProblem(reply, {
        status: 503,
        code: 'unavailable',
        detail: 'Storage or Redis is not answering; try again.',
      })
    }
    return sendProblem(reply, {
      status: 500,
      code: 'internal',
      detail: 'Something went wrong here; the log says what.',
    })
  })
}
