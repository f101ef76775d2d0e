import pMap from 'p-map'
import type { BlobStore } from '../shared/blob-store.ts'
import { layout } from '../shared/layout.ts'
import type { Chore } from './chores.ts'

const dayMs = 86_400_000

type LogJanitorPlan = {
  everyMs: number
  /** Days of which the lines are kept beside today's; 0 keeps all for ever. */
  keepDays: number
  now?: () => number
  pageSize?: number
}

/** Removes the log lines of days that are older than they are kept, the oldest first, some each turn. */
export function logJanitorChore(
  system: Pick<BlobStore, 'listPage' | 'remove'>,
  { everyMs, keepDays, now = Date.now, pageSize = 1_000 }: LogJanitorPlan,
): Chore {
  return {
    name: 'log-janitor',
    everyMs,
    async run(signal) {
      if (keepDays === 0) return { removed: 0 }
      const first = new Date(now() - keepDays * dayMs).toISOString().slice(0, 10)
      // Names begin with the day, so what is oldest comes first.
      const { items } = await system.listPage(layout.logs, { size: pageSize })
      const old = items
        .map(({ name }) => name)
        .filter(
          (name) => /^\d{4}-\d\d-\d\d\//.test(name.slice(layout.logs.length)) && name < layout.logsOf(first),
        )
      await pMap(
        old,
        // One by one: many at once would ask for the right to write containers.
        async (name) => await system.remove([name]),
        { concurrency: 4, signal },
      )
      return { removed: old.length }
    },
  }
}
