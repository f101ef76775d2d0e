import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { Handle, type Names, Outputs, type Symbol, createEvaluator } from './evaluate.ts'
import { type Fields, type Value, azureFunctions, fileFunctions, functions, union } from './functions.ts'
import { parameterValue } from './parameters.ts'
import { type Declaration, type Expression, parse } from './syntax.ts'
import { BicepError } from './tokens.ts'

/** A resource as Azure would be told of it. */
export type Resource = { file: string; type: string; version: string; id: string; name: string; body: Fields }

/** What Azure alone knows of a resource, there or to be made: such as the address of a Redis. */
export type Live = (resource: { type: string; name: string }) => Fields

export type Expanded = { resources: Resource[]; outputs: Fields }

const subscriptionId = '/subscriptions/11111111-1111-1111-1111-111111111111'
const groupId = (name: string) => `${subscriptionId}/resourceGroups/${name}`

const none: Names = new Map()

/**
 * What a deployment of `file` comes to: its modules with all that is in them, every expression worked out. Refuses what the
 * compiler would: unknown names and functions, missing or unknown parameters, values that are not allowed, circles, and names,
 * lists or conditions that are known only once something else is deployed. It knows no schemas of resources.
 */
export function expand(file: string, params: Fields, live: Live, scope = subscriptionId): Expanded {
  const declarations = parse(readFileSync(file, 'utf8'))
  const resources: Resource[] = []
  const symbols = new Map<string, Symbol>()
  const known = { ...functions, ...fileFunctions(dirname(file)), ...azureFunctions(subscriptionId, scope) }
  const { evaluate, early, symbol, turns, member } = createEvaluator({ file, symbols, functions: known })
  const later: (() => void)[] = []

  /** Once, or once for each turn of its loop. */
  function unroll(declared: Declaration, one: (body: Body, names: Names, isAbsent: boolean) => Value): Value {
    const { value, condition, line } = declared
    if (value?.is === 'loop') {
      const each = early('the list', line, () => turns(value, none)) as Names[]
      return each.map((names) => one(objectOf(value.body, declared), names, false))
    }
    const isThere =
      condition === undefined || early('the condition', line, () => evaluate(condition, none)) === true
    return one(objectOf(value, declared), none, !isThere)
  }

  function scopeOf(body: Body, names: Names, line: number): string {
    const given = body.get('scope')
    return given === undefined
      ? scope
      : String(early('the scope', line, () => member(evaluate(given, names), 'id', line)))
  }

  function resource(declared: Declaration, above?: Handle): Symbol {
    const { line } = declared
    const [type = '', version = ''] = declared.type.split('@')
    const make = (body: Body, names: Names, isAbsent: boolean): Handle => {
      const nameIs = body.get('name')
      if (nameIs === undefined) throw new BicepError(`${file}:${line}: it has no name`)
      const name = String(early('its name', line, () => evaluate(nameIs, names)))
      const parentIs = body.get('parent')
      const parent = above ?? (parentIs === undefined ? undefined : (evaluate(parentIs, names) as Handle))
      const short = above === undefined ? (type.split('/').at(-1) ?? '') : type
      const fullType = above === undefined ? type : `${above.type}/${type}`
      const isGroup = type === 'Microsoft.Resources/resourceGroups'
      const own = `${scopeOf(body, names, line)}/providers/${type}/${name}`
      const id = isGroup ? groupId(name) : parent === undefined ? own : `${parent.id}/${short}/${name}`
      const handle = new Handle(id, name, fullType)
      handle.isAbsent = isAbsent || parent?.isAbsent === true
      const told = symbol(declared.name, line, () => body.evaluate((value) => evaluate(value, names)))
      handle.read = () => union(told.read(), live(handle)) as Fields
      for (const child of body.nested) handle.children.set(child.name, resource(child, handle))
      if (handle.isAbsent) return handle
      later.push(() => {
        const said = told.read() as Fields
        if (!declared.isExisting) resources.push({ file, type: fullType, version, id, name, body: said })
        for (const child of handle.children.values()) child.read()
      })
      return handle
    }
    return symbol(declared.name, line, () => unroll(declared, make))
  }

  function moduleOf(declared: Declaration): Symbol {
    const { line } = declared
    const make = (body: Body, names: Names, isAbsent: boolean): Outputs => {
      const inner = symbol(declared.name, line, () => {
        if (isAbsent) throw new BicepError(`${file}:${line}: ${declared.name} is not deployed`)
        const { params: given = {} } = body.evaluate((value) => evaluate(value, names)) as { params?: Fields }
        const path = join(dirname(file), declared.type)
        const expanded = expand(path, given, live, scopeOf(body, names, line))
        resources.push(...expanded.resources)
        return expanded.outputs
      })
      if (!isAbsent) later.push(() => void inner.read())
      return new Outputs(() => inner.read() as Fields)
    }
    return symbol(declared.name, line, () => unroll(declared, make))
  }

  const names = declarations.filter(({ kind }) => kind === 'param').map(({ name }) => name)
  const unknown = Object.keys(params).filter((name) => !names.includes(name))
  if (unknown.length > 0) throw new BicepError(`${file}: there is no parameter ${unknown.join(', ')}`)
  for (const declared of declarations) {
    const { kind, name, line, value } = declared
    if (kind === 'param') {
      const read = () => parameterValue(file, declared, params, (of) => evaluate(of, none))
      symbols.set(name, symbol(name, line, read))
    }
    if (kind === 'var' && value !== undefined)
      symbols.set(
        name,
        symbol(name, line, () => evaluate(value, none)),
      )
    if (kind === 'resource') symbols.set(name, resource(declared))
    if (kind === 'module') symbols.set(name, moduleOf(declared))
  }
  for (const each of symbols.values()) each.read()
  for (let i = 0; i < later.length; i++) later[i]?.()
  const outputs = declarations.flatMap(({ kind, name, value }) =>
    kind === 'output' && value !== undefined ? [[name, evaluate(value, none)]] : [],
  )
  return { resources, outputs: Object.fromEntries(outputs) as Fields }
}

type Body = ReturnType<typeof objectOf>

/** What a resource or module says between its braces. */
function objectOf(value: Expression | undefined, { line }: Declaration) {
  if (value?.is !== 'object') throw new BicepError(`line ${line}: an object is wanted`)
  const keyOf = (key: Expression) => (key.is === 'value' ? key.value : undefined)
  const outside = ['name', 'parent', 'scope', 'dependsOn']
  return {
    nested: value.nested,
    get: (name: string) => value.entries.find(({ key }) => keyOf(key) === name)?.value,
    /** All but what says where it is; whom it waits for is looked up, so that a wrong name is found. */
    evaluate(work: (of: Expression) => Value): Value {
      for (const { key, value: each } of value.entries) if (keyOf(key) === 'dependsOn') work(each)
      const entries = value.entries.filter(({ key }) => !outside.includes(String(keyOf(key))))
      return work({ is: 'object', entries, nested: [] })
    },
  }
}
