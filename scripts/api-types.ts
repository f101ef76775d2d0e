// TypeScript of an OpenAPI document, in the form that openapi-fetch takes: what openapi-typescript would write, which
// needs a TypeScript older than ours.

type Schema = { [word: string]: unknown } | boolean
type Document = {
  paths: Record<string, Record<string, Operation>>
  components: { schemas: Record<string, Schema> }
}
type Content = Record<string, { schema?: Schema }>
type Operation = {
  operationId?: string
  summary?: string
  parameters?: { name: string; in: string; required?: boolean; schema: Schema }[]
  requestBody?: { required?: boolean; content: Content }
  responses: Record<string, { content?: Content }>
}

const head =
  "// Written by `npm run client:types` from the API's own description: change the routes, not this.\n/* oxlint-disable max-lines */\n"

export function typesOf(document: Document): string {
  const schemas = Object.entries(document.components.schemas)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, schema]) => `export type ${name} = ${typeOf(schema)}\n`)
  const paths = Object.entries(document.paths)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([path, methods]) => `  ${key(path)}: {\n${methodsOf(methods)}\n  }`)
  return `${head}\n${schemas.join('\n')}\nexport type paths = {\n${paths.join('\n')}\n}\n`
}

const methodsOf = (methods: Record<string, Operation>) =>
  Object.entries(methods)
    .map(([method, operation]) => `${note(operation.summary)}    ${method}: ${operationOf(operation)}`)
    .join('\n')

function operationOf({ parameters = [], requestBody, responses }: Operation): string {
  const kinds = ['path', 'query', 'header']
    .map((kind) => [kind, parameters.filter((each) => each.in === kind)] as const)
    .filter(([, those]) => those.length > 0)
  const given = kinds.map(([kind, those]) => {
    const fields = those.map(
      ({ name, required, schema }) => `${key(name)}${required ? '' : '?'}: ${typeOf(schema)}`,
    )
    return `${kind}${those.some(({ required }) => required) ? '' : '?'}: { ${fields.join('; ')} }`
  })
  const body = requestBody
    ? `requestBody${requestBody.required ? '' : '?'}: { content: ${contentOf(requestBody.content)} }`
    : 'requestBody?: never'
  const answers = Object.entries(responses).map(
    ([status, { content }]) => `${status}: { content${content ? ': ' : '?: '}${contentOf(content)} }`,
  )
  return `{ parameters: { ${given.join('; ')} }; ${body}; responses: { ${answers.join('; ')} } }`
}

const contentOf = (content: Content | undefined) =>
  content
    ? `{ ${Object.entries(content)
        .map(([type, { schema }]) => `${key(type)}: ${typeOf(schema ?? true)}`)
        .join('; ')} }`
    : 'never'

/** Throws where a schema says something that this does not know: a type that is wrong in silence is worse than none. */
export function typeOf(schema: Schema): string {
  if (typeof schema === 'boolean') return schema ? 'unknown' : 'never'
  const { $ref, enum: values, anyOf, oneOf, allOf, type, items, prefixItems } = schema
  if (typeof $ref === 'string') return $ref.slice($ref.lastIndexOf('/') + 1)
  if ('const' in schema) return JSON.stringify(schema['const'])
  if (Array.isArray(values)) return values.map((value) => JSON.stringify(value)).join(' | ')
  const choices = (anyOf ?? oneOf) as Schema[] | undefined
  if (choices) return `(${[...new Set(choices.map(typeOf))].join(' | ')})`
  if (Array.isArray(allOf)) return `(${(allOf as Schema[]).map(typeOf).join(' & ')})`
  if (Array.isArray(type))
    return `(${type.map((each: string) => typeOf({ ...schema, type: each })).join(' | ')})`
  if (type === 'string' || type === 'boolean' || type === 'null') return type
  if (type === 'integer' || type === 'number') return 'number'
  if (Array.isArray(prefixItems)) return `[${(prefixItems as Schema[]).map(typeOf).join(', ')}]`
  if (type === 'array') return `${typeOf((items as Schema | undefined) ?? true)}[]`
  if (type === 'object') return objectOf(schema)
  if (Object.keys(schema).every((word) => ['description', 'default', 'examples'].includes(word)))
    return 'unknown'
  throw new Error(`no type is known for ${JSON.stringify(schema).slice(0, 200)}`)
}

function objectOf(schema: Exclude<Schema, boolean>): string {
  const {
    properties = {},
    required = [],
    additionalProperties,
  } = schema as {
    properties?: Record<string, Schema>
    required?: string[]
    additionalProperties?: Schema
  }
  const fields = Object.entries(properties).map(
    ([name, field]) =>
      `${note(typeof field === 'object' ? (field['description'] as string) : undefined)}${key(name)}${required.includes(name) ? '' : '?'}: ${typeOf(field)}`,
  )
  if (fields.length > 0) return `{\n${fields.join('\n')}\n}`
  if (additionalProperties === undefined || additionalProperties === true) return 'Record<string, unknown>'
  return `Record<string, ${typeOf(additionalProperties)}>`
}

const key = (name: string) => (/^[A-Za-z_$][\w$]*$/.test(name) ? name : `'${name}'`)
const note = (text: string | undefined) => (text ? `/** ${text} */\n` : '')
