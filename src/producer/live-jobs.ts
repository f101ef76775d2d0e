import type { JobStatus, JobStatuses } from '../shared/job-status.ts'
import type { Logger } from '../shared/log.ts'
import type { JobView } from './job-view.ts'

/** Somebody who watches: the newest jobs, or one. `isSnapshot`: all that is there, not what changed. */
export type Watcher = {
  id?: string
  tell(jobs: JobView[], isSnapshot: boolean): void
}

type LiveDeps = {
  statuses: Pick<JobStatuses, 'list' | 'getAll'>
  view(status: JobStatus): JobView
  log: Pick<Logger, 'warn'>
}

export type LiveJobs = ReturnType<typeof createLiveJobs>

/**
 * Tells watchers what becomes of jobs, by one look at Redis each second however many there are, and none while nobody
 * watches. A watcher is told first of everything it watches, then of what has changed.
 *
 *   nobody ──first watcher──► looking ──a second──► looking      a look that fails: one line, and again
 *      ▲                         │
 *      └────── last one leaves ──┘
 */
export function createLiveJobs(
  { statuses, view, log }: LiveDeps,
  { everyMs = 1_000, newest = 50 }: { everyMs?: number; newest?: number } = {},
) {
  const watchers = new Map<Watcher, { isNew: boolean }>()
  let timer: NodeJS.Timeout | undefined
  let looking = false
  let told = new Map<string, string>()
  let ailing = false

  async function look(): Promise<void> {
    const news = await statuses.list(0, newest)
    const watched = [...watchers.keys()].flatMap(({ id }) => id ?? [])
    const ids = [...new Set([...news, ...watched])]
    const views = new Map(
      (await statuses.getAll(ids)).flatMap((status) => (status ? [[status.id, view(status)] as const] : [])),
    )
    const texts = new Map([...views].map(([id, job]) => [id, JSON.stringify(job)]))
    const changed = new Set(ids.filter((id) => texts.has(id) && texts.get(id) !== told.get(id)))
    told = texts
    const shown = (some: string[]) => some.flatMap((id) => views.get(id) ?? [])
    for (const [watcher, state] of watchers) {
      const its = watcher.id === undefined ? news : [watcher.id]
      const jobs = shown(state.isNew ? its : its.filter((id) => changed.has(id)))
      if (state.isNew || jobs.length > 0) watcher.tell(jobs, state.isNew)
      state.isNew = false
    }
  }

  async function turn(): Promise<void> {
    // One that takes long is not overtaken.
    if (looking) return
    looking = true
    try {
      await look()
      ailing = false
    } catch (error) {
      if (!ailing)
        log.warn({ err: (error as Error).message }, 'jobs could not be looked at for those who watch')
      ailing = true
    } finally {
      looking = false
    }
  }

  return {
    count: () => watchers.size,
    /** Answers what to call when nobody watches any more. */
    watch(watcher: Watcher): () => void {
      watchers.set(watcher, { isNew: true })
      timer ??= setInterval(() => void turn(), everyMs)
      void turn()
      return () => {
        watchers.delete(watcher)
        if (watchers.size > 0) return
        clearInterval(timer)
        timer = undefined
        told = new Map()
      }
    },
  }
}
