import pMap from 'p-map'
import type { BlobStore } from '../../shared/blob-store.ts'
import { InputError, TransientError } from '../../shared/errors.ts'
import { layout } from '../../shared/layout.ts'
import type { Logger } from '../../shared/log.ts'
import { toJson } from '../triggers/to-json.ts'
import { type Run, type Schedule, ScheduleId, StoredRuns, StoredSchedule } from './schedule.ts'

export type ScheduleStore = ReturnType<typeof createScheduleStore>

/** Each is looked at every half minute. */
const mostSchedules = 200
/** Others may write meanwhile; each try that loses means that one of them won. */
const tries = 10
const atOnce = 8

/** Schedules and their runs, in the system container: they outlive Redis. What can't be read there counts as not there. */
export function createScheduleStore(
  system: Pick<BlobStore, 'head' | 'read' | 'writeJson' | 'list' | 'remove'>,
  log: Pick<Logger, 'warn'>,
) {
  async function readAs<T>(
    name: string,
    { safeParse }: { safeParse(value: unknown): { success: boolean; data?: T } },
  ): Promise<T | undefined> {
    const text = (await system.read(name))?.toString('utf8')
    if (text === undefined) return undefined
    const { data } = safeParse(toJson(text))
    if (data === undefined)
      log.warn({ blob: name }, 'a blob of the schedules can not be read: it is left out')
    return data
  }

  const find = async (id: string) => await readAs(layout.schedule(id), StoredSchedule)
  const runsOf = async (id: string): Promise<Run[]> =>
    (await readAs(layout.scheduleRuns(id), StoredRuns))?.runs ?? []

  /** Names of schedules, and of those whose runs alone were left. */
  async function names(): Promise<{ ids: string[]; left: string[] }> {
    const ids: string[] = []
    const withRuns: string[] = []
    for await (const { name } of system.list(layout.schedules)) {
      const [, id = '', runs] = /^schedules\/([^/]+?)(?:\.json|(\/runs)\.json)$/.exec(name) ?? []
      if (ScheduleId.safeParse(id).success) (runs ? withRuns : ids).push(id)
    }
    return { ids, left: withRuns.filter((id) => !ids.includes(id)) }
  }

  return {
    ...{ find, runsOf },
    /** All that can be read, by name, and the names of what nobody has set any more. */
    async all(): Promise<{ schedules: { id: string; schedule: StoredSchedule }[]; left: string[] }> {
      const { ids, left } = await names()
      const read = await pMap(ids, async (id) => ({ id, schedule: await find(id) }), { concurrency: atOnce })
      return {
        schedules: read.flatMap(({ id, schedule }) => (schedule ? [{ id, schedule }] : [])),
        left,
      }
    },
    /**
     * Sets a schedule; its times count from `now` (ms) on where they are others than before. Throws InputError where there are
     * too many.
     */
    async set(id: string, schedule: Schedule, now: number): Promise<StoredSchedule> {
      const before = await find(id)
      if (!before) {
        const { ids, left } = await names()
        if (ids.length >= mostSchedules && !ids.includes(id))
          throw new InputError('too-many-schedules', `There are ${ids.length} schedules; more can't be kept.`)
        if (left.includes(id)) await system.remove([layout.scheduleRuns(id)])
      }
      const same = before?.cron === schedule.cron && before.timezone === schedule.timezone
      const since = same ? before.since : new Date(now).toISOString()
      const stored = StoredSchedule.parse({ v: 1, since, ...schedule })
      await system.writeJson(layout.schedule(id), stored)
      return stored
    },
    async remove(id: string): Promise<void> {
      await system.remove([layout.schedule(id)])
      await system.remove([layout.scheduleRuns(id)])
    },
    forgetRuns: async (id: string) => await system.remove([layout.scheduleRuns(id)]),
    /**
     * Changes what is known of a schedule's runs; answers what it is then. `change` is asked again where somebody else was
     * first, and changes nothing by answering what it was given.
     */
    async changeRuns(id: string, change: (runs: Run[]) => Promise<Run[]> | Run[]): Promise<Run[]> {
      const name = layout.scheduleRuns(id)
      for (let left = tries; left > 0; left--) {
        // The version first: what is read may be newer, and then it is not overwritten.
        const version = await system.head(name)
        const runs = await runsOf(id)
        const wanted = await change(runs)
        if (wanted === runs) return runs
        const over = version ? { ifMatch: version.etag } : { ifAbsent: true }
        if (await system.writeJson(name, { v: 1, runs: wanted }, over)) return wanted
      }
      throw new TransientError(`The runs of ${id} were changed by others ${tries} times meanwhile.`)
    },
  }
}
