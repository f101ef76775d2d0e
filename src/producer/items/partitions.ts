import { InputError } from '../../shared/errors.ts'
import type { ItemGroup } from '../../shared/items/item.ts'
import type { TableSource } from '../../shared/items/request.ts'
import type { ModelStore, StoredModel } from '../../shared/models/model-store.ts'
import { checkFeatures } from './check-model.ts'

type Place = { group: number; error?: { code: string; message: string } | undefined }

const mostPartitions = 10_000

/** As it is in a model's name. */
const slug = (value: string) => value.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-')

/** The columns that a pattern names. */
export const columnsIn = (pattern: string): string[] =>
  Array.from(pattern.matchAll(/\{([^{}]+)\}/g), ([, column = '']) => column)

/**
 * The partitions of a table, numbered as they come up, and the model of each, which is looked for once. A partition without a
 * model is a failure of its rows; one whose model can't score them is thrown, as InputError `model-mismatch`.
 */
export function createPartitions(
  table: TableSource,
  { pattern, models }: { pattern: string | undefined; models: Pick<ModelStore, 'find'> },
) {
  const columns = table.partitionBy ?? []
  const places = new Map<string, Place>()
  const groups: ItemGroup[] = []

  async function modelOf(partition: Record<string, string>): Promise<StoredModel | undefined> {
    const ref = (pattern ?? '').replaceAll(/\{([^{}]+)\}/g, (_, column: string) =>
      slug(partition[column] ?? ''),
    )
    const model = await models.find(ref)
    if (model) checkFeatures(model, table)
    return model
  }

  async function create(values: string[], isWhole: boolean): Promise<Place> {
    const group = groups.length
    if (group >= mostPartitions)
      throw new InputError(
        'too-many-partitions',
        `By ${columns.join(', ')} the table has more than ${mostPartitions} partitions, which is the limit.`,
      )
    const partition = Object.fromEntries(columns.map((column, i) => [column, values[i] ?? '']))
    if (pattern === undefined) {
      groups.push({ partition })
      return { group }
    }
    const model = isWhole ? await modelOf(partition) : undefined
    if (!model) {
      groups.push({ partition })
      const said = columns.map((column) => `${column} ${partition[column]}`).join(', ')
      return { group, error: { code: 'unknown-model', message: `There is no model for ${said}.` } }
    }
    const { name, version, sha256 } = model
    groups.push({ partition, model: { name, version, sha256 } })
    return { group }
  }

  return {
    /** `values`: of the columns that tell a partition, undefined where one is missing: such rows have a partition, but no model. */
    async of(values: (string | undefined)[]): Promise<Place> {
      const texts = values.map((value) => value ?? '')
      const key = JSON.stringify(texts)
      const place = places.get(key) ?? (await create(texts, !values.includes(undefined)))
      places.set(key, place)
      return place
    },
    groups: () => groups,
  }
}
