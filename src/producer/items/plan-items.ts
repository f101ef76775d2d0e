import { randomBytes } from 'node:crypto'
import pMap from 'p-map'
import type { BlobStore } from '../../shared/blob-store.ts'
import { InputError } from '../../shared/errors.ts'
import type { Item, ItemGroup, ItemSource, SourceItem } from '../../shared/items/item.ts'
import type { ItemsPlan } from '../../shared/items/items-plan.ts'
import { layout } from '../../shared/layout.ts'
import type { ModelRef } from '../../shared/models/model-store.ts'
import { createHeldItems } from './held-items.ts'
import { maxItems } from './images-source.ts'

const maxBatches = 20_000
/** A batch's file at most: a worker holds it whole. */
const maxBatchBytes = 32 << 20

/**
 * Cuts what a source yields into files of `size` items, each of one group, and makes a batch of each for every model. Nothing is
 * kept of it until the plan is: another split of the same job has a folder of its own, and the first plan counts. What does not fill
 * a file yet is held, in memory as far as it may be, and else in `dir`. Throws InputError `no-items`, `too-many-items`,
 * `too-many-partitions` and `too-many-batches`.
 */
export async function planItems(
  media: Pick<BlobStore, 'write' | 'writeJson'>,
  source: ItemSource,
  { jobId, size, dir, models = [], mostItems = maxItems, mostHeld, signal }: Planning,
): Promise<ItemsPlan> {
  const folder = randomBytes(8).toString('hex')
  const held = createHeldItems(dir, mostHeld)
  const files: File[] = []
  const copies = Math.max(1, models.length)
  let hasQueries = false
  let items = 0

  async function close(group: number): Promise<void> {
    if ((files.length + 1) * copies > maxBatches) throw tooManyBatches(size, models.length)
    const index = files.length
    files.push({ file: index, items: held.sizeOf(group).items, group })
    const { bytes, queries } = await held.take(group)
    if (queries.some(Boolean)) {
      hasQueries = true
      await media.writeJson(layout.itemSecretsOf(jobId, folder, index), queries)
    }
    await media.write(layout.itemsOf(jobId, folder, index), bytes, { contentType: 'application/x-ndjson' })
  }

  for await (const { group = 0, query = '', ...item } of source.items(signal)) {
    signal.throwIfAborted()
    if (++items > mostItems)
      throw new InputError(
        'too-many-items',
        `The source has more than ${mostItems} items, which is the limit.`,
      )
    // Each has a batch at least, and they are numbered as they come up.
    if ((group + 1) * copies > maxBatches) throw tooManyGroups(models.length)
    held.add(group, lineOf(item), query)
    const into = held.sizeOf(group)
    if (into.items >= size || into.bytes >= maxBatchBytes) await close(group)
    else if (held.isFull()) await held.spill(signal)
  }
  // Numbered as they begin, which is in order.
  await pMap(held.groups(), close, { concurrency: 8, signal })
  if (items === 0 && !source.mayBeEmpty) throw new InputError('no-items', 'The source has no items.')
  const cut = batchesOf(files, source.groups?.() ?? [], models)
  return {
    ...{ v: 1, kind: 'items', jobId, folder, hasQueries, ...cut, columns: source.columns?.() },
    frames: cut.batches.reduce((sum, count) => sum + count, 0),
    warnings: source.warnings?.() ?? [],
  }
}

type Planning = {
  jobId: string
  size: number
  /** For files, gone afterwards. */
  dir: string
  /** Each scores every item; of none, or of one, nothing is said. */
  models?: ModelRef[] | undefined
  mostItems?: number
  /** Bytes of items in memory. */
  mostHeld?: number
  signal: AbortSignal
}

type File = { file: number; items: number; group: number }

/**
 * The batches: model by model and group by group, so that whoever has loaded a model goes on with it; each group's in the order
 * of its items.
 */
function batchesOf(files: File[], parts: ItemGroup[], models: ModelRef[]) {
  const inOrder = files.toSorted((a, b) => a.group - b.group)
  const all = models.length > 1 ? models : [undefined]
  const partsOrOne = parts.length > 0 || models.length <= 1 ? parts : [{}]
  const groups = all.flatMap((model) => partsOrOne.map((part) => (model ? { ...part, model } : part)))
  const batches = all.flatMap((_, n) =>
    inOrder.map((each) => ({ ...each, group: n * partsOrOne.length + each.group })),
  )
  const isPlain = batches.every(({ file }, index) => file === index)
  return {
    batches: batches.map(({ items }) => items),
    groups,
    groupOf: groups.length > 1 ? batches.map(({ group }) => group) : [],
    ...(isPlain ? {} : { fileOf: batches.map(({ file }) => file) }),
  }
}

const lineOf = (item: Item | Omit<SourceItem, 'group' | 'query'>) => `${JSON.stringify(item)}\n`

const forEach = (models: number) => (models > 1 ? ` for each of ${models} models` : '')

const tooManyBatches = (size: number, models: number) =>
  new InputError(
    'too-many-batches',
    `In batches of ${size} items${forEach(models)} there would be more than ${maxBatches}; ask for larger batches (batch.items)${models > 1 ? ' or fewer models' : ''}. One has ${maxBatchBytes >> 20} MiB at most.`,
  )

const tooManyGroups = (models: number) =>
  new InputError(
    'too-many-partitions',
    `With a batch at least for each partition${forEach(models)} there would be more than ${maxBatches}, which is the limit, whatever their size.`,
  )
