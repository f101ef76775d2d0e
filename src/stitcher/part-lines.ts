import { readFile } from 'node:fs/promises'
import type { BlobStore } from '../shared/blob-store.ts'
import { InputError } from '../shared/errors.ts'
import { batchStarts } from '../shared/frame-times.ts'
import type { PartLine } from '../shared/items/item.ts'
import { fileOf, isItemsPlan } from '../shared/items/items-plan.ts'
import { linesIn, maxLineBytes, parseLines, readItem, readPartLine } from '../shared/items/ndjson.ts'
import type { JobPlan } from '../shared/job.ts'
import { layout } from '../shared/layout.ts'

/**
 * The lines of a part that was fetched. It is in memory whole: there may be millions, and nothing is waited for between them.
 * Throws InputError `bad-part` at the first that no worker of ours has written.
 */
export async function linesOf(plan: JobPlan, path: string, batch: number): Promise<Iterable<PartLine>> {
  return readable(await readFile(path), (why) => bad(plan, batch, why))
}

/**
 * The same, where each line has to be of the item that has its place in the batch, and each item has to have one: a part is a
 * worker's word, and what the items are no worker can write.
 */
export function checkedLines(media: Pick<BlobStore, 'read'>, plan: JobPlan) {
  const starts = batchStarts(plan.batches)

  async function keysOf(batch: number): Promise<string[]> {
    if (!isItemsPlan(plan))
      return Array.from({ length: plan.batches[batch] ?? 0 }, (_, n) => String((starts[batch] ?? 0) + n))
    const name = layout.itemsOf(plan.jobId, plan.folder, fileOf(plan, batch))
    const bytes = await media.read(name)
    if (bytes) return parseLines(bytes, readItem).map(({ key }) => key)
    throw new InputError('plan-gone', `The items of batch ${batch} are missing (${name}).`)
  }

  return async (path: string, batch: number): Promise<Iterable<PartLine>> => {
    const keys = await keysOf(batch)
    return inPlace(await linesOf(plan, path, batch), keys, (why) => bad(plan, batch, why))
  }
}

type Bad = (why: string) => InputError

const bad = ({ jobId }: JobPlan, batch: number, why: string) =>
  new InputError('bad-part', `Part ${batch} of job ${jobId} is none of a worker of ours: ${why}.`)

function* readable(bytes: Buffer, refuse: Bad): Generator<PartLine> {
  try {
    yield* linesIn(bytes, readPartLine, maxLineBytes)
  } catch (error) {
    // What JSON.parse says quotes the line.
    throw refuse(error instanceof SyntaxError ? 'a line of it is no JSON' : (error as Error).message)
  }
}

function* inPlace(lines: Iterable<PartLine>, keys: string[], refuse: Bad): Generator<PartLine> {
  let place = 0
  for (const line of lines) {
    if (line.key !== keys[place]) throw refuse(`line ${place + 1} is not of the item that has its place`)
    place += 1
    yield line
  }
  if (place < keys.length) throw refuse(`it has ${place} lines for ${keys.length} items`)
}
