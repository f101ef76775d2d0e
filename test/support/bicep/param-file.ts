import { readFileSync } from 'node:fs'
import { createEvaluator } from './evaluate.ts'
import { type Fields, type Value, functions } from './functions.ts'
import { parse } from './syntax.ts'
import { BicepError } from './tokens.ts'

/** What a `.bicepparam` file gives to the template that it is for; throws where a variable is wanted that nobody has set. */
export function readParamFile(file: string, env: Record<string, string>): { using: string; params: Fields } {
  const declarations = parse(readFileSync(file, 'utf8'))
  const readEnvironmentVariable = (name: Value, byDefault?: Value): Value => {
    const value = env[String(name)] ?? byDefault
    if (value === undefined) throw new BicepError(`${String(name)} is not set`)
    return value
  }
  const known = { ...functions, readEnvironmentVariable }
  const { evaluate } = createEvaluator({ file, symbols: new Map(), functions: known })
  const params = declarations.flatMap(({ kind, name, value }) =>
    kind === 'param' && value !== undefined ? [[name, evaluate(value, new Map())]] : [],
  )
  return {
    using: declarations.find(({ kind }) => kind === 'using')?.type ?? '',
    params: Object.fromEntries(params) as Fields,
  }
}
