import { Ajv2020 } from 'ajv/dist/2020.js'
import { expect, test } from 'vitest'
import { readApiDocument } from '../../scripts/api-document.ts'
import { typeOf } from '../../scripts/api-types.ts'
import { operations } from '../../src/producer/api-examples.ts'
import { problems } from '../../src/producer/api-problems.ts'

type Media = { schema?: object; example?: unknown; examples?: Record<string, { value: unknown }> }
type Operation = {
  operationId?: string
  summary?: string
  tags?: string[]
  security?: object[]
  parameters?: { name: string; schema: object; example?: unknown }[]
  requestBody?: { content: Record<string, Media> }
  responses: Record<string, { description: string; content?: Record<string, Media> }>
}

const document = (await readApiDocument()) as {
  paths: Record<string, Record<string, Operation>>
  components: { schemas: Record<string, object> }
  tags: { name: string }[]
}
const routes = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(
    ([method, operation]) => [`${method.toUpperCase()} ${path}`, operation] as const,
  ),
)

const ajv = new Ajv2020({ strict: false, validateFormats: false, allErrors: true })
ajv.addSchema({ $id: 'api', components: document.components })
/** Why an example does not fit a schema of the document; nothing where it does. */
function misfit(schema: object, example: unknown): unknown {
  const inside = JSON.parse(JSON.stringify(schema).replaceAll('"#/', '"api#/')) as object
  const fits = ajv.compile(inside)
  return fits(example) ? undefined : { example, errors: fits.errors }
}

test('the examples are of routes that there are', () => {
  const there: string[] = routes.map(([route]) => route)
  expect(Object.keys(operations).filter((route) => !there.includes(route))).toEqual([])
})

test.each(routes)('%s says what it is called, what it does and whom it serves', (_, operation) => {
  // By an entry in src/producer/api-examples.ts.
  expect(operation.operationId).toMatch(/^[a-z][A-Za-z]+$/)
  expect(operation.summary).toMatch(/^[A-Z].{3,}[^.]$/)
  expect(document.tags.map(({ name }) => name)).toEqual(expect.arrayContaining(operation.tags ?? ['none']))
  expect(operation.security).toBeDefined()
})

test.each(routes)('%s shows a call and an answer, which its own schemas take', (_, operation) => {
  const { parameters = [], requestBody, responses } = operation
  for (const { name, schema, example } of parameters) {
    expect({ name, example, misfit: misfit(schema, example) }).toEqual({ name, example: expect.anything() })
  }
  const good = Object.entries(responses).filter(([status]) => Number(status) < 300)
  expect(good.length).toBeGreaterThan(0)
  for (const content of [requestBody?.content ?? {}, ...good.map(([, { content = {} }]) => content)])
    for (const [type, { schema = {}, example: only, examples }] of Object.entries(content)) {
      // Of bytes there is nothing to show.
      if ('format' in schema && schema.format === 'binary') continue
      for (const example of examples ? Object.values(examples).map(({ value }) => value) : [only])
        expect({ type, example, misfit: misfit(schema, example) }).toEqual({
          type,
          example: expect.anything(),
        })
    }
})

test.each(routes)('%s says how it may fail', (_, operation) => {
  const bad = Object.entries(operation.responses).filter(([status]) => Number(status) >= 400)
  const codes = bad.flatMap(([status, { content }]) =>
    Object.entries(content?.['application/problem+json']?.examples ?? {}).map(([code, { value }]) => {
      expect(misfit({ $ref: '#/components/schemas/Problem' }, value)).toBeUndefined()
      expect(value).toMatchObject({ code, status: Number(status) })
      return code
    }),
  )
  expect(bad.every(([, { content }]) => content?.['application/problem+json'])).toBe(true)
  const wanted = operation.security?.length === 0 ? [] : ['unauthorized', 'forbidden', 'unavailable']
  expect(codes).toEqual(expect.arrayContaining(wanted))
  const takesSomething = Boolean(operation.parameters?.length || operation.requestBody)
  expect(bad.some(([status]) => status === '400')).toBe(takesSomething)
})

test('names are unique, and every problem has a word of its own', () => {
  const ids = routes.map(([, { operationId }]) => operationId)
  expect(ids.filter((id, i) => ids.indexOf(id) !== i)).toEqual([])
  expect(Object.keys(problems).filter((code) => !/^[a-z]+(?:-[a-z]+)*$/.test(code))).toEqual([])
})

test('a schema that is said in words without a type is refused, not taken for anything', () => {
  expect(() => typeOf({ not: { type: 'string' } })).toThrow(/no type is known/)
})
