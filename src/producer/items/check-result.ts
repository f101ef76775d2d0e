import { InputError } from '../../shared/errors.ts'
import type { JobRequest } from '../../shared/job.ts'
import type { ModelManifest, ScoresSpec } from '../../shared/models/manifest.ts'
import { wantedColumns } from './table-row.ts'

/** What a model says of an item, by name. */
const fieldsOf: Record<ScoresSpec['task'], string[]> = {
  classification: ['label', 'score', 'top'],
  detection: ['count', 'boxes'],
  vector: ['vector'],
  anomaly: ['score'],
}

type Asked = Omit<JobRequest, 'source'> & { source?: JobRequest['source'] }

/**
 * Throws InputError `bad-output` where two columns of the result would have one name, or one is renamed that is not there. `models`
 * undefined: which they are is known later.
 */
export function checkResult(
  { source, output }: Asked,
  models: Pick<ModelManifest, 'scores'>[] | undefined,
): void {
  const { scores } = output
  if (!scores) return
  const { columns, rename = {} } = scores
  if (columns && !source?.table)
    throw new InputError('bad-output', 'Only a table has columns that go along (output.scores.columns).')
  const carried = source?.table
    ? (columns ?? wantedColumns({ table: source.table, carried: undefined }))
    : source?.url === undefined
      ? ['key']
      : ['frame', 'time']
  const told = new Set(models?.flatMap((model) => (model.scores ? fieldsOf[model.scores.task] : [])))
  const fields = [...carried, ...told, ...((models?.length ?? 0) > 1 ? ['model'] : [])]
  const there = new Set(fields)
  const unknown = Object.keys(rename).find((name) => !there.has(name))
  if (unknown !== undefined && models && source)
    throw new InputError(
      'bad-output',
      `The result has no column ${unknown} that could be renamed; it has ${fields.slice(0, 50).join(', ')}.`,
    )
  const names = fields.map((field) => (Object.hasOwn(rename, field) ? rename[field] : field))
  const seen = new Set<string | undefined>()
  const twice = names.find((name) => seen.size === seen.add(name).size)
  if (twice !== undefined)
    throw new InputError(
      'bad-output',
      `Two columns of the result would be called ${twice}: rename one (output.scores.rename), or leave it out (output.scores.columns).`,
    )
}
