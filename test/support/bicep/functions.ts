import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse as parseYaml } from 'yaml'
import { BicepError } from './tokens.ts'

export type Value = unknown
export type Fields = Record<string, Value>

export const isFields = (value: Value): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

type Lambda = (...args: Value[]) => Value
type Function = (...args: Value[]) => Value

const list = (value: Value): Value[] => {
  if (!Array.isArray(value)) throw new BicepError(`a list is wanted, and there is ${JSON.stringify(value)}`)
  return value
}
const fields = (value: Value): Fields => {
  if (!isFields(value)) throw new BicepError(`an object is wanted, and there is ${JSON.stringify(value)}`)
  return value
}
const text = (value: Value): string => {
  if (typeof value !== 'string')
    throw new BicepError(`a text is wanted, and there is ${JSON.stringify(value)}`)
  return value
}
const hashOf = (parts: Value[]) => createHash('sha256').update(JSON.stringify(parts)).digest('hex')

/** Objects are merged all the way down, lists are joined. */
export function union(left: Value, right: Value): Value {
  if (Array.isArray(left)) return [...new Set([...left, ...list(right)])]
  const all = { ...fields(left) }
  for (const [key, value] of Object.entries(fields(right))) {
    const before = all[key]
    all[key] = isFields(before) && isFields(value) ? union(before, value) : value
  }
  return all
}

function cidrSubnet(range: Value, size: Value, nth: Value): string {
  const [address = '', own = ''] = text(range).split('/')
  const base = address.split('.').reduce((sum, byte) => sum * 256 + Number(byte), 0)
  const begin = base + Number(nth) * 2 ** (32 - Number(size))
  if (begin + 2 ** (32 - Number(size)) > base + 2 ** (32 - Number(own)))
    throw new BicepError(`${text(range)} has no such subnet`)
  const bytes = [24, 16, 8, 0].map((shift) => Math.floor(begin / 2 ** shift) % 256)
  return `${bytes.join('.')}/${Number(size)}`
}

/** Those of Bicep's functions that only depend on their arguments; `guid` and `uniqueString` have the form of Azure's. */
export const functions: Record<string, Function> = {
  concat: (...all) =>
    all.every((each) => Array.isArray(each)) ? all.flat() : all.map((each) => text(each)).join(''),
  union: (...all) => all.reduce((left, right) => union(left, right)),
  string: (value) => (typeof value === 'string' ? value : JSON.stringify(value)),
  json: (value) => JSON.parse(text(value)) as Value,
  int: (value) => {
    if (!Number.isInteger(Number(value))) throw new BicepError(`${String(value)} is no whole number`)
    return Number(value)
  },
  bool: (value) => {
    if (!/^(true|false)$/i.test(String(value)))
      throw new BicepError(`${String(value)} is neither true nor false`)
    return /^true$/i.test(String(value))
  },
  base64: (value) => Buffer.from(text(value)).toString('base64'),
  max: (...all) => Math.max(...all.map(Number)),
  join: (value, between) => list(value).map(String).join(text(between)),
  split: (value, between) => text(value).split(text(between)),
  toUpper: (value) => text(value).toUpperCase(),
  replace: (value, what, by) => text(value).replaceAll(text(what), text(by)),
  take: (value, count) => (Array.isArray(value) ? value : text(value)).slice(0, Number(count)),
  length: (value) =>
    (typeof value === 'string' || Array.isArray(value) ? value : Object.keys(fields(value))).length,
  empty: (value) =>
    value === null ||
    (typeof value === 'string' || Array.isArray(value) ? value : Object.keys(fields(value))).length === 0,
  contains: (value, part) =>
    typeof value === 'string' || Array.isArray(value)
      ? value.includes(part as string)
      : text(part) in fields(value),
  indexOf: (value, part) => (Array.isArray(value) ? value : text(value)).indexOf(part as string),
  items: (value) =>
    Object.entries(fields(value))
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, each]) => ({ key, value: each })),
  objectKeys: (value) => Object.keys(fields(value)).sort(),
  filter: (value, each) => list(value).filter((item) => (each as Lambda)(item) === true),
  map: (value, each) => list(value).map((item, i) => (each as Lambda)(item, i)),
  guid: (...parts) => hashOf(parts).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12}).*$/, '$1-$2-$3-$4-$5'),
  uniqueString: (...parts) => hashOf(parts).slice(0, 13),
  cidrSubnet,
}

/** Those that read files beside the one that calls them. */
export const fileFunctions = (folder: string): Record<string, Function> => ({
  loadTextContent: (name) => readFileSync(join(folder, text(name)), 'utf8'),
  loadYamlContent: (name) => parseYaml(readFileSync(join(folder, text(name)), 'utf8')) as Value,
  loadJsonContent: (name) => JSON.parse(readFileSync(join(folder, text(name)), 'utf8')) as Value,
})

/** Those that know where they are called. */
export const azureFunctions = (subscription: string, scope: string): Record<string, Function> => ({
  subscription: () => ({ id: subscription, subscriptionId: subscription.split('/').at(-1) }),
  resourceGroup(name) {
    const own = typeof name === 'string' ? name : /resourceGroups\/([^/]+)/.exec(scope)?.[1]
    if (own === undefined) throw new BicepError('there is no group here')
    return { id: `${subscription}/resourceGroups/${own}`, name: own }
  },
  environment: () => ({
    suffixes: { storage: 'core.windows.net' },
    resourceManager: 'https://management.azure.com/',
    authentication: { loginEndpoint: 'https://login.microsoftonline.com/' },
  }),
  tenant: () => ({ tenantId: '22222222-2222-2222-2222-222222222222' }),
  subscriptionResourceId: (type, name) => `${subscription}/providers/${text(type)}/${text(name)}`,
})
