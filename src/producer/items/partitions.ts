import { InputError } from '../../shared/errors.ts'
import type { ItemGroup } from '../../shared/items/item.ts'
import type { TableSource } from '../../shared/items/request.ts'
import type { ModelStore, StoredModel } from '../../shared/models/model-store.ts'
import { checkFeatures } from './check-model.ts'

type Fault = { code: string; message: string }
type Place = { group: number; error?: Fault | undefined }

const mostPartitions = 10_000
/** Characters in what tells them apart: all of it stands in the plan, once for each model. */
const mostTold = 8 << 20
const longestSaid = 500

/** As it is in a model's name. */
const slug = (value: string) => value.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-')

/** The columns that a pattern names. */
export const columnsIn = (pattern: string): string[] =>
  Array.from(pattern.matchAll(/\{([^{}]+)\}/g), ([, column = '']) => column)

/**
 * The partitions of a table, numbered as they come up, and the model of each, which is looked for once. That there is none, or
 * one that can't score its rows, is a failure of each of them. Throws InputError `too-many-partitions`.
 */
export function createPartitions(
  table: TableSource,
  {
    pattern,
    models,
    copies = 1,
  }: {
    pattern: string | undefined
    models: Pick<ModelStore, 'find'>
    /** How often each stands in the plan. */
    copies?: number | undefined
  },
) {
  const columns = table.partitionBy ?? []
  const places = new Map<string, Place>()
  const groups: ItemGroup[] = []
  let told = 0

  /** The model of a partition, or what is said of each of its rows. */
  async function modelOf(partition: ReadonlyMap<string, string>): Promise<StoredModel | Fault> {
    const ref = (pattern ?? '').replaceAll(/\{([^{}]+)\}/g, (_, column: string) =>
      slug(partition.get(column) ?? ''),
    )
    const model = await models.find(ref)
    if (!model) return noModel(partition)
    try {
      checkFeatures(model, table)
      return model
    } catch (error) {
      // Which rows there are is nobody's fault who asked for the others.
      if (error instanceof InputError) return { code: error.code, message: error.message }
      throw error
    }
  }

  async function create(values: string[], isWhole: boolean): Promise<Place> {
    const group = groups.length
    if (group >= mostPartitions)
      throw new InputError(
        'too-many-partitions',
        `By ${columns.join(', ')} the table has more than ${mostPartitions} partitions, which is the limit.`,
      )
    const named = new Map(columns.map((column, i) => [column, values[i] ?? '']))
    const partition = Object.fromEntries(named)
    told += JSON.stringify(partition).length * copies
    if (told > mostTold)
      throw new InputError(
        'too-many-partitions',
        `The values of ${columns.join(', ')}, which tell the table's partitions, have more than ${mostTold} characters together, which is the limit.`,
      )
    if (pattern === undefined) {
      groups.push({ partition })
      return { group }
    }
    const model = isWhole ? await modelOf(named) : noModel(named)
    if ('code' in model) {
      groups.push({ partition })
      return { group, error: model }
    }
    const { name, version, sha256 } = model
    groups.push({ partition, model: { name, version, sha256 } })
    return { group }
  }

  return {
    /** `values`: of the columns that tell a partition, undefined where one tells nothing: such rows have a partition, but no model. */
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

function noModel(partition: ReadonlyMap<string, string>): Fault {
  const said = Array.from(partition, ([column, value]) => `${column} ${value}`).join(', ')
  return { code: 'unknown-model', message: `There is no model for ${said.slice(0, longestSaid)}.` }
}
