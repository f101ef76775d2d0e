import { randomBytes } from 'node:crypto'
import type { BlobStore } from '../../shared/blob-store.ts'
import { InputError } from '../../shared/errors.ts'
import type { Item, ItemSource, SourceItem } from '../../shared/items/item.ts'
import type { ItemsPlan } from '../../shared/items/items-plan.ts'
import { layout } from '../../shared/layout.ts'
import { maxItems } from './images-source.ts'

const maxBatches = 20_000
/** What stays in memory of items until their batches are full, of all groups together. */
const heldMost = 200_000
/** A batch's file at most: a worker holds it whole. */
const maxBatchBytes = 32 << 20

type Open = { lines: string[]; bytes: number; queries: string[] }

/**
 * Cuts what a source yields into batches of `size` items, each of one group, and writes a file for each. Nothing is kept of
 * it until the plan is: another split of the same job has a folder of its own, and the first plan counts. Holds what fills one
 * batch for each group. Throws InputError `no-items`, `too-many-items` and `too-many-batches`.
 */
export async function planItems(
  media: Pick<BlobStore, 'write' | 'writeJson'>,
  source: ItemSource,
  { jobId, size, signal }: { jobId: string; size: number; signal: AbortSignal },
): Promise<ItemsPlan> {
  const folder = randomBytes(8).toString('hex')
  const open = new Map<number, Open>()
  const batches: number[] = []
  const groupOf: number[] = []
  let hasQueries = false
  let items = 0
  let held = 0

  async function close(group: number, { lines, queries }: Open): Promise<void> {
    open.delete(group)
    held -= lines.length
    if (batches.length === maxBatches) throw tooManyBatches(size)
    const index = batches.push(lines.length) - 1
    groupOf.push(group)
    if (queries.some(Boolean)) {
      hasQueries = true
      await media.writeJson(layout.itemSecretsOf(jobId, folder, index), queries)
    }
    const bytes = Buffer.from(lines.join(''))
    await media.write(layout.itemsOf(jobId, folder, index), bytes, { contentType: 'application/x-ndjson' })
  }

  for await (const { group = 0, query = '', ...item } of source.items(signal)) {
    signal.throwIfAborted()
    if (++items > maxItems)
      throw new InputError(
        'too-many-items',
        `The source has more than ${maxItems} items, which is the limit.`,
      )
    const into = open.get(group) ?? { lines: [], bytes: 0, queries: [] }
    open.set(group, into)
    const line = lineOf(item)
    into.lines.push(line)
    into.bytes += line.length
    into.queries.push(query)
    held += 1
    if (into.lines.length >= size || into.bytes >= maxBatchBytes) await close(group, into)
    else if (held > heldMost) await closeLargest()
  }
  for (const [group, last] of open) await close(group, last)
  if (items === 0) throw new InputError('no-items', 'The source has no items.')
  const groups = source.groups?.() ?? []
  return {
    ...{ v: 1, kind: 'items', jobId, folder, hasQueries, batches, groups },
    frames: batches.reduce((sum, count) => sum + count, 0),
    groupOf: groups.length > 1 ? groupOf : [],
    warnings: source.warnings?.() ?? [],
  }

  async function closeLargest(): Promise<void> {
    const [largest] = [...open].toSorted(([, a], [, b]) => b.lines.length - a.lines.length)
    if (largest) await close(...largest)
  }
}

const lineOf = (item: Item | Omit<SourceItem, 'group' | 'query'>) => `${JSON.stringify(item)}\n`

const tooManyBatches = (size: number) =>
  new InputError(
    'too-many-batches',
    `In batches of ${size} items there would be more than ${maxBatches}; ask for larger batches (batch.items).`,
  )
