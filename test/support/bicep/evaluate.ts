import { type Fields, type Value, isFields } from './functions.ts'
import type { Expression } from './syntax.ts'
import { BicepError } from './tokens.ts'

/** What a name stands for; read when it is asked for, so that the order in a file means nothing. */
export type Symbol = { read: () => Value }

/** A resource, as expressions see it. */
export class Handle {
  readonly id: string
  readonly name: string
  readonly type: string
  readonly children = new Map<string, Symbol>()
  isAbsent = false
  /** What the file says of it, and what Azure alone knows. */
  read: () => Fields = () => ({})
  constructor(id: string, name: string, type: string) {
    this.id = id
    this.name = name
    this.type = type
  }
}

/** A module, as expressions see it. */
export class Outputs {
  readonly read: () => Fields
  constructor(read: () => Fields) {
    this.read = read
  }
}

export type Names = ReadonlyMap<string, Value>

type Surroundings = {
  file: string
  symbols: ReadonlyMap<string, Symbol>
  functions: Record<string, (...args: Value[]) => Value>
}

export function createEvaluator({ file, symbols, functions }: Surroundings) {
  /** How often something was read that is known only once a deployment has come so far. */
  let liveReads = 0

  const fail = (line: number, what: string): never => {
    throw new BicepError(`${file}:${line}: ${what}`)
  }

  /** Its value is worked out once; a circle is refused. */
  function symbol(name: string, line: number, work: () => Value): Symbol {
    let state: 'new' | 'at it' | 'done' = 'new'
    let value: Value
    let isLive = false
    return {
      read() {
        if (state === 'at it') fail(line, `${name} depends on itself`)
        if (state === 'new') {
          state = 'at it'
          const before = liveReads
          value = work()
          isLive = liveReads > before
          state = 'done'
        } else if (isLive) {
          liveReads += 1
        }
        return value
      },
    }
  }

  /** A value that has to be known before anything is deployed. */
  function early(what: string, line: number, work: () => Value): Value {
    const before = liveReads
    const value = work()
    return liveReads > before ? fail(line, `${what} is known only after something is deployed`) : value
  }

  function evaluate(of: Expression, names: Names): Value {
    switch (of.is) {
      case 'value':
        return of.value
      case 'text':
        return of.parts.map((part) => inText(evaluate(part, names))).join('')
      case 'name': {
        if (names.has(of.name)) return names.get(of.name)
        return (symbols.get(of.name) ?? fail(of.line, `${of.name} is not known`)).read()
      }
      case 'list':
        return of.items.map((item) => evaluate(item, names))
      case 'object':
        return Object.fromEntries(
          of.entries.map(({ key, value }) => [String(evaluate(key, names)), evaluate(value, names)]),
        )
      case 'loop':
        return turns(of, names).map((inner) => evaluate(of.body, inner))
      case 'lambda':
        return (...args: Value[]) => evaluate(of.body, withNames(names, of.names, args))
      case 'member':
        return member(evaluate(of.of, names), evaluate(of.key, names), of.line)
      case 'child': {
        const parent = evaluate(of.of, names)
        const child = parent instanceof Handle ? parent.children.get(of.name) : undefined
        return (child ?? fail(of.line, `there is no ${of.name} in it`)).read()
      }
      case 'call': {
        const called = functions[of.name] ?? fail(of.line, `${of.name}() is not known`)
        return called(...of.args.map((arg) => evaluate(arg, names)))
      }
      case 'not':
        return evaluate(of.of, names) !== true
      case 'choice':
        return evaluate(evaluate(of.when, names) === true ? of.yes : of.no, names)
      default:
        return both(of, names)
    }
  }

  function both({ sign, left, right }: Extract<Expression, { is: 'both' }>, names: Names): Value {
    const a = evaluate(left, names)
    if (sign === '&&') return a === true && evaluate(right, names)
    if (sign === '||') return a === true || evaluate(right, names)
    if (sign === '??') return a ?? evaluate(right, names)
    const b = evaluate(right, names)
    if (sign === '==') return a === b
    if (sign === '!=') return a !== b
    const [x, y] = [Number(a), Number(b)]
    const results: Record<string, Value> = {
      ...{ '+': x + y, '-': x - y, '*': x * y, '/': Math.trunc(x / y), '%': x % y },
      ...{ '<': x < y, '>': x > y, '<=': x <= y, '>=': x >= y },
    }
    return results[sign]
  }

  function inText(value: Value): string {
    if (typeof value === 'object') fail(0, `a text is to hold ${JSON.stringify(value)}`)
    return String(value)
  }

  /** The names of each turn of a loop. */
  function turns({ names: own, source }: Extract<Expression, { is: 'loop' }>, names: Names): Names[] {
    return (evaluate(source, names) as Value[]).map((item, i) => withNames(names, own, [item, i]))
  }

  function member(of: Value, key: Value, line: number): Value {
    const name = String(key)
    if (of instanceof Outputs) {
      if (key !== 'outputs') fail(line, `a module has no ${name}`)
      liveReads += 1
      return of.read()
    }
    if (of instanceof Handle) {
      if (key === 'id' || key === 'name' || key === 'type') return of[key]
      liveReads += 1
      return of.read()[name] ?? fail(line, `${of.name} has no ${name}`)
    }
    if (Array.isArray(of) && typeof key === 'number' && key < of.length) return of[key]
    return isFields(of) && name in of ? of[name] : fail(line, `there is no ${name}`)
  }

  return { evaluate, early, symbol, turns, member }
}

const withNames = (names: Names, own: string[], values: Value[]): Names =>
  new Map([...names, ...own.map((name, i): [string, Value] => [name, values[i]])])
