import pMap from 'p-map'
import { isOutputSecret } from '../shared/accepted-outputs.ts'
import type { BlobItem, BlobStore } from '../shared/blob-store.ts'
import { JobId } from '../shared/job.ts'
import { layout } from '../shared/layout.ts'
import type { Chore } from './chores.ts'

type Stores = { media: BlobStore; hidden: BlobStore }

/** No accept takes as long. */
const dayMs = 86_400_000

/**
 * Goes round the private container, a page each turn, and removes what an accept left there that broke off, what is left
 * of jobs that are gone, and secrets of jobs that have ended.
 */
export function tidyOutputsChore(
  { media, hidden }: Stores,
  { everyMs, pageSize, graceMs = dayMs }: { everyMs: number; pageSize?: number; graceMs?: number },
): Chore {
  let from: string | undefined
  return {
    name: 'tidy-outputs',
    everyMs,
    async run() {
      const { items, next } = await hidden.listPage(layout.jobs, { from, size: pageSize })
      const old = items.filter(({ modified }) => Date.now() - modified.getTime() > graceMs)
      const gone = await pMap(
        Map.groupBy(old, jobOf),
        async ([id, blobs]) => await uselessOf(media, id, blobs),
        {
          concurrency: 4,
        },
      )
      const names = gone.flat()
      if (names.length > 0) await hidden.remove(names)
      from = next
      return { removed: names.length }
    },
  }
}

const jobOf = ({ name }: BlobItem) => JobId.safeParse(name.split('/')[1]).data

async function uselessOf(media: BlobStore, id: string | undefined, blobs: BlobItem[]): Promise<string[]> {
  const names = blobs.map(({ name }) => name)
  if (id === undefined || !(await media.head(layout.spec(id)))) return names
  const secrets = names.filter(isOutputSecret)
  if (secrets.length === 0 || (await media.head(layout.openMark(id)))) return []
  return (await media.head(layout.report(id))) ? secrets : []
}
