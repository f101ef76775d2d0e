import { InputError } from '../../shared/errors.ts'
import type { PartLine } from '../../shared/items/item.ts'
import type { JobSpec } from '../../shared/job.ts'

type Value = Extract<PartLine, { value: object }>['value']

/**
 * Gives a line the names that its job wants: `output.scores.rename` for columns of the source and for what a model says alike, and
 * behind them `model`, where several score the same item. A model that a partition tells needs no column. Throws InputError
 * `bad-output` where two columns would come to one name.
 */
export function namedValues(
  { request }: Pick<JobSpec, 'request'>,
  model: string,
): (line: PartLine) => PartLine {
  const { scores } = request.output
  const several = (request.models?.length ?? 0) > 1
  const names = new Map(Object.entries(scores?.rename ?? {}))
  if (!scores || (names.size === 0 && !several)) return (line) => line
  return (line) => {
    if (!('value' in line)) return line
    const columns = Object.entries(several ? withModel(line.value, model) : line.value)
    const value = Object.fromEntries(columns.map(([column, each]) => [names.get(column) ?? column, each]))
    if (Object.keys(value).length === columns.length) return { key: line.key, value }
    const all = columns.map(([column]) => names.get(column) ?? column)
    throw twice(all.find((column, i) => all.indexOf(column) < i) ?? '')
  }
}

function withModel(value: Value, model: string): Value {
  if (Object.hasOwn(value, 'model')) throw twice('model')
  return { ...value, model }
}

/** What a source's columns and a model's fields can't both be called. */
export const twice = (column: string) =>
  new InputError(
    'bad-output',
    `Two columns of the result would be called ${column}: rename one (output.scores.rename), or leave it out (output.scores.columns).`,
  )
