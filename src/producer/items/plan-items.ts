import { randomBytes } from 'node:crypto'
import pMap from 'p-map'
import type { BlobStore } from '../../shared/blob-store.ts'
import { InputError } from '../../shared/errors.ts'
import type { Item, ItemGroup, ItemSource, SourceItem } from '../../shared/items/item.ts'
import type { ItemsPlan } from '../../shared/items/items-plan.ts'
import { layout } from '../../shared/layout.ts'
import type { ModelRef } from '../../shared/models/model-store.ts'
import { maxItems } from './images-source.ts'

const maxBatches = 20_000
/** What stays in memory of items until their batches are full, of all groups together. */
const heldMost = { items: 200_000, bytes: 128 << 20 }
/** A batch's file at most: a worker holds it whole. */
const maxBatchBytes = 32 << 20

type Open = { lines: string[]; bytes: number; queries: string[] }

/**
 * Cuts what a source yields into files of `size` items, each of one group, and makes a batch of each for every model. Nothing is
 * kept of it until the plan is: another split of the same job has a folder of its own, and the first plan counts. Holds what fills
 * one file for each group. Throws InputError `no-items`, `too-many-items` and `too-many-batches`.
 */
export async function planItems(
  media: Pick<BlobStore, 'write' | 'writeJson'>,
  source: ItemSource,
  { jobId, size, models = [], mostItems = maxItems, signal }: Planning,
): Promise<ItemsPlan> {
  const folder = randomBytes(8).toString('hex')
  const open = new Map<number, Open>()
  const files: File[] = []
  const maxFiles = Math.floor(maxBatches / Math.max(1, models.length))
  let hasQueries = false
  let items = 0
  const held = { items: 0, bytes: 0 }

  async function close(group: number, { lines, bytes: length, queries }: Open): Promise<void> {
    open.delete(group)
    held.items -= lines.length
    held.bytes -= length
    if (files.length >= maxFiles) throw tooManyBatches(size, models.length)
    const index = files.length
    files.push({ file: index, items: lines.length, group })
    if (queries.some(Boolean)) {
      hasQueries = true
      await media.writeJson(layout.itemSecretsOf(jobId, folder, index), queries)
    }
    const bytes = Buffer.from(lines.join(''))
    await media.write(layout.itemsOf(jobId, folder, index), bytes, { contentType: 'application/x-ndjson' })
  }

  for await (const { group = 0, query = '', ...item } of source.items(signal)) {
    signal.throwIfAborted()
    if (++items > mostItems)
      throw new InputError(
        'too-many-items',
        `The source has more than ${mostItems} items, which is the limit.`,
      )
    const into = open.get(group) ?? { lines: [], bytes: 0, queries: [] }
    open.set(group, into)
    const line = lineOf(item)
    into.lines.push(line)
    into.bytes += line.length
    into.queries.push(query)
    held.items += 1
    held.bytes += line.length
    if (into.lines.length >= size || into.bytes >= maxBatchBytes) await close(group, into)
    else if (held.items > heldMost.items || held.bytes > heldMost.bytes) await closeLargest()
  }
  // Numbered as they begin, which is in order.
  await pMap([...open], async ([group, last]) => await close(group, last), { concurrency: 8, signal })
  if (items === 0 && !source.mayBeEmpty) throw new InputError('no-items', 'The source has no items.')
  const cut = batchesOf(files, source.groups?.() ?? [], models)
  return {
    ...{ v: 1, kind: 'items', jobId, folder, hasQueries, ...cut },
    frames: cut.batches.reduce((sum, count) => sum + count, 0),
    warnings: source.warnings?.() ?? [],
  }

  async function closeLargest(): Promise<void> {
    const [largest] = [...open].toSorted(([, a], [, b]) => b.bytes - a.bytes)
    if (largest) await close(...largest)
  }
}

type Planning = {
  jobId: string
  size: number
  /** Each scores every item; of none, or of one, nothing is said. */
  models?: ModelRef[] | undefined
  mostItems?: number
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

const tooManyBatches = (size: number, models: number) =>
  new InputError(
    'too-many-batches',
    `In batches of ${size} items${models > 1 ? ` for each of ${models} models` : ''} there would be more than ${maxBatches}; ask for larger batches (batch.items).`,
  )
