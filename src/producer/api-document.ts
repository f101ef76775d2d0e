import { type OperationExample, operations, parameters } from './api-examples.ts'
import { problems, problemsOfAll } from './api-problems.ts'

type Content = Record<string, { schema?: unknown; example?: unknown; examples?: Record<string, unknown> }>
type Answer = { description: string; content?: Content; headers?: unknown }
type Operation = {
  operationId?: string
  parameters?: { name: string; example?: unknown }[]
  requestBody?: { content: Content }
  responses: Record<string, Answer>
  security?: unknown[]
}
/** What is used here of an OpenAPI document. */
export type ApiDocument = {
  paths?: Record<string, Record<string, Operation>>
  components?: { schemas?: Record<string, unknown> }
}

/**
 * Makes of what follows from the routes alone a description that strangers can use: names of operations, a call and an
 * answer of each, and every problem it may answer with. Leaves out the schemas that nothing refers to.
 */
export function finishDocument<Document extends ApiDocument>(document: Document): Document {
  const paths = Object.fromEntries(
    Object.entries(document.paths ?? {}).map(([path, methods]) => [
      path,
      Object.fromEntries(
        Object.entries(methods).map(([method, operation]) => {
          const known = operations[`${method.toUpperCase()} ${path}`]
          return [method, known ? finishOperation(operation, known) : operation]
        }),
      ),
    ]),
  )
  return plainNames({ ...document, paths })
}

function finishOperation(operation: Operation, known: OperationExample): Operation {
  const { requestBody, responses } = operation
  return {
    ...operation,
    operationId: known.id,
    ...(operation.parameters
      ? { parameters: operation.parameters.map((each) => shown(each, known.id)) }
      : {}),
    ...(requestBody
      ? { requestBody: { ...requestBody, content: withRequests(requestBody.content, known) } }
      : {}),
    responses: { ...goodAnswers(responses, known), ...badAnswers(known, operation.security?.length === 0) },
  }
}

const shown = (parameter: { name: string }, operation: string) => {
  const example = parameters[parameter.name]?.(operation)
  return example === undefined ? parameter : { ...parameter, example }
}

const withRequests = (content: Content, { request, requests }: OperationExample): Content => {
  if (!requests) return withExample(content, request)
  const examples = Object.fromEntries(Object.entries(requests).map(([name, value]) => [name, { value }]))
  return Object.fromEntries(Object.entries(content).map(([type, media]) => [type, { ...media, examples }]))
}

const withExample = (content: Content, example: unknown): Content =>
  Object.fromEntries(Object.entries(content).map(([type, media]) => [type, { ...media, example }]))

const says: Record<string, string> = {
  200: 'Done',
  201: 'Made',
  202: 'Taken; it goes on by itself',
  204: 'Done, nothing to say',
}

function goodAnswers(responses: Record<string, Answer>, { answer, media }: OperationExample) {
  const good = Object.entries(responses).filter(([status]) => Number(status) < 400)
  return Object.fromEntries(
    good.map(([status, { content: said, ...rest }]) => {
      const content = media
        ? bytesOf(media)
        : said && status !== '204'
          ? withExample(said, answer)
          : undefined
      return [status, { ...rest, description: says[status] ?? 'Done', ...(content ? { content } : {}) }]
    }),
  )
}

const bytesOf = (media: string[]): Content =>
  Object.fromEntries(media.map((type) => [type, { schema: { type: 'string', format: 'binary' } }]))

const whatItIs: Record<number, string> = {
  400: 'The request is not well formed',
  401: 'No token, or none that counts',
  403: 'The token lacks the role',
  404: 'There is no such thing',
  409: 'Not in the state it is in',
  413: 'The body is too large',
  415: 'Not in a form that is taken',
  422: 'Well formed, and yet it can not be done',
  429: 'Too much at once; Retry-After says when to come back',
  501: 'This system has no way to do it',
  503: 'Storage or Redis is away; Retry-After says when to come back',
}

/** By status, each with an example for every code there is. */
function badAnswers({ problems: own }: OperationExample, isOpen: boolean): Record<string, Answer> {
  const codes = [...own, ...(isOpen ? [] : problemsOfAll)]
  const byStatus = Map.groupBy(codes, (code) => problems[code][0])
  return Object.fromEntries(
    [...byStatus].map(([status, those]) => [
      status,
      {
        description: whatItIs[status] ?? 'Refused',
        ...(status === 429 || status === 503 ? { headers: retryAfter } : {}),
        content: {
          'application/problem+json': {
            schema: { $ref: '#/components/schemas/Problem' },
            examples: Object.fromEntries(those.map((code) => [code, { value: problemOf(code) }])),
          },
        },
      },
    ]),
  )
}

const retryAfter = { 'retry-after': { description: 'seconds', schema: { type: 'integer' }, example: 5 } }

function problemOf(code: keyof typeof problems) {
  const [status, detail] = problems[code]
  return { type: `urn:framefleet:${code}`, title: titles[status], status, detail, code }
}

const titles: Record<number, string> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  409: 'Conflict',
  413: 'Payload Too Large',
  415: 'Unsupported Media Type',
  422: 'Unprocessable Entity',
  429: 'Too Many Requests',
  501: 'Not Implemented',
  503: 'Service Unavailable',
}

/** Every schema comes in two forms, as it is sent and as it is answered; most are used in one, which needs no suffix then. */
function plainNames<Document extends ApiDocument>(document: Document): Document {
  const schemas = document.components?.schemas ?? {}
  const used = new Set<string>()
  const visit = (part: unknown) => {
    for (const [, name] of JSON.stringify(part ?? null).matchAll(/"#\/components\/schemas\/(\w+)"/g)) {
      if (name === undefined || used.has(name)) continue
      used.add(name)
      visit(schemas[name])
    }
  }
  visit(document.paths)
  const plain = (name: string) => {
    const short = name.replace(/Input$/, '')
    return short !== name && !used.has(short) ? short : name
  }
  const kept = Object.entries(schemas).filter(([name]) => used.has(name))
  const renamed = JSON.stringify({
    paths: document.paths,
    schemas: Object.fromEntries(kept.map(([name, schema]) => [plain(name), schema])),
  }).replaceAll(
    /"#\/components\/schemas\/(\w+)"/g,
    (_, name: string) => `"#/components/schemas/${plain(name)}"`,
  )
  const read = JSON.parse(renamed) as { paths: ApiDocument['paths']; schemas: Record<string, unknown> }
  return { ...document, paths: read.paths, components: { ...document.components, schemas: read.schemas } }
}
