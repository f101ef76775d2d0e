import type { Fields, Value } from './functions.ts'
import type { Declaration, Expression } from './syntax.ts'
import { BicepError } from './tokens.ts'

const isOf: Record<string, (value: Value) => boolean> = {
  string: (value) => typeof value === 'string',
  int: (value) => Number.isInteger(value),
  bool: (value) => typeof value === 'boolean',
  object: (value) => typeof value === 'object' && value !== null && !Array.isArray(value),
  array: (value) => Array.isArray(value),
  'string[]': (value) => Array.isArray(value) && value.every((each) => typeof each === 'string'),
}

/** What a parameter is: as given, or its default; throws where its type or its decorators do not allow it. */
export function parameterValue(
  file: string,
  { name, type, line, value: byDefault, decorators }: Declaration,
  given: Fields,
  evaluate: (of: Expression) => Value,
): Value {
  const fail = (what: string): never => {
    throw new BicepError(`${file}:${line}: ${name} ${what}`)
  }
  if (!(name in given) && byDefault === undefined) fail('is not given')
  const value = name in given ? given[name] : byDefault && evaluate(byDefault)
  if (isOf[type]?.(value) !== true) fail(`is to be ${type}, and is ${JSON.stringify(value)}`)
  const size = typeof value === 'number' ? value : (value as string).length
  for (const { name: rule, args } of decorators) {
    const [bound] = args.map((arg) => evaluate(arg))
    if (rule === 'allowed' && !(bound as Value[]).includes(value)) fail(`may not be ${JSON.stringify(value)}`)
    if ((rule === 'minValue' || rule === 'minLength') && size < Number(bound))
      fail(`is less than ${String(bound)}`)
    if ((rule === 'maxValue' || rule === 'maxLength') && size > Number(bound))
      fail(`is more than ${String(bound)}`)
  }
  return value
}
