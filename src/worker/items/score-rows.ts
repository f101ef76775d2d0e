import { InputError } from '../../shared/errors.ts'
import type { Item, PartLine, Row } from '../../shared/items/item.ts'
import { sizeOfRows } from '../../shared/items/items-plan.ts'
import type { JobSpec } from '../../shared/job.ts'
import { noNumber } from './item-failure.ts'
import type { ItemScorer, ItemsJob } from './item-scorer.ts'
import { twice } from './named-values.ts'
import { rowReader } from './read-rows.ts'
import type { RowModel, RowModels } from './row-models.ts'

type Value = Extract<PartLine, { value: object }>['value']

/**
 * Rows of one run at most, so that other batches have their turn soon, and little memory is asked for. As many for a batch that
 * is suspected: what becomes of a row may depend on how many come with it, and it must come out the same.
 */
const mostRows = 2_048
/** Numbers in them: 8 MB of float64. */
const mostNumbers = 1 << 20

/**
 * Scores a batch of rows: those that can be scored go to the model some thousand at a time, as one tensor.
 *
 *   row ──► its features, in the job's order ──► tensor [rows, features] ──► model ──► its line: what it carries, what the model says
 *    └─ `error` of its own, or a feature that is no number ──► its line says so
 */
export function createRowScorer({ rowModels }: { rowModels: Pick<RowModels, 'open'> }): ItemScorer {
  return async (job) => {
    const { spec, group, items, signal, through, trial, onScoring } = job
    const features = spec.request.source.table?.features
    if (!features) throw new Error(`the job ${spec.id} has no table`)
    const lines: (PartLine | undefined)[] = items.map((item, place) => faultOf(item, features, job, place))
    const good = [...lines.keys()].filter((place) => lines[place] === undefined)
    const ms = { scoreMs: 0 }
    // A partition that has no model has no row that could be scored.
    if (good.length === 0) return { lines: whole(lines), ms }
    const began = performance.now()
    using model = await rowModels.open(group.model, { dir: job.dir, onScoring })
    if (model.manifest.input.count !== features.length)
      throw new InputError(
        'model-mismatch',
        `The model ${group.model.name} takes ${model.manifest.input.count} features, the job names ${features.length}.`,
      )
    const { scores } = model.manifest
    if (!scores) throw new InputError('model-mismatch', `The manifest of ${group.model.name} has no scores.`)
    const valueOf = valueMaker(spec)
    const { top } = spec.request.output.scores ?? {}
    const size = runSize(model, features.length)
    for (let from = 0; from < good.length; from += size) {
      signal.throwIfAborted()
      const run = good.slice(from, from + size)
      const rows = model.rows ?? run.length
      const data = tensorOf(model, { items, features, run, rows, blank: through })
      const read = rowReader(await model.run(data, rows), scores, { rows, top })
      for (const [n, place] of run.entries()) {
        const { key, row = {} } = items[place] as Item
        const said = trial ? {} : read(n)
        lines[place] = said ? { key, value: trial ? {} : valueOf(row, said) } : { key, error: noNumber }
      }
      job.onItem(from + run.length, true)
    }
    // What is left is writing it down: another batch may have the model meanwhile.
    job.onFetched()
    ms.scoreMs = performance.now() - began
    return { lines: whole(lines), device: model.device, size: sizeOfRows(features.length), ms }
  }
}

const unscorable = { code: 'unscorable', message: 'The model fails on it alone.' }

/** What is wrong with a row before any model has seen it. In a trial a blank row stands for what the model must not be given. */
function faultOf(
  { key, row, error }: Item,
  features: string[],
  { through, trial }: Pick<ItemsJob, 'through' | 'trial'>,
  place: number,
): PartLine | undefined {
  if (through.has(place)) return trial ? undefined : { key, error: unscorable }
  if (error) return { key, error }
  const bad = features.find((feature) => !isNumber(row?.[feature]))
  if (bad === undefined) return undefined
  return { key, error: { code: 'bad-row', message: `Its ${bad} is no number.` } }
}

const isNumber = (value: Row[string] | undefined) => typeof value === 'boolean' || Number.isFinite(value)

const whole = (lines: (PartLine | undefined)[]) => lines.filter((line) => line !== undefined)

const runSize = ({ rows }: RowModel, features: number): number =>
  rows ?? Math.min(mostRows, Math.floor(mostNumbers / features))

type Run = { items: Item[]; features: string[]; run: number[]; rows: number; blank: ReadonlySet<number> }

/** Rows one behind the other; what is over where a model takes so many and no fewer stays 0, as what is blank does. */
function tensorOf({ manifest }: RowModel, { items, features, run, rows, blank }: Run) {
  const length = rows * features.length
  const data = manifest.input.type === 'float64' ? new Float64Array(length) : new Float32Array(length)
  let at = 0
  for (const place of run) {
    const row = items[place]?.row
    if (blank.has(place)) at += features.length
    else for (const feature of features) data[at++] = Number(row?.[feature])
  }
  return data
}

/** What becomes a row's line: the columns that go along, as they stand in it, then what the model says. */
function valueMaker({ request }: JobSpec) {
  const { columns } = request.output.scores ?? {}
  const carried = columns && new Set(columns)
  return (row: Row, said: Value): Value => {
    const along = carried
      ? Object.fromEntries(Object.entries(row).filter(([column]) => carried.has(column)))
      : row
    const same = Object.keys(said).find((field) => Object.hasOwn(along, field))
    if (same !== undefined) throw twice(same)
    return { ...along, ...said }
  }
}
