import { InputError, TransientError } from '../../shared/errors.ts'
import type { Logger } from '../../shared/log.ts'
import { redact } from '../../shared/redact.ts'
import { type AcceptDeps, acceptJob, keyedId } from '../accept-job.ts'
import { cancelJob } from '../cancel-job.ts'
import type { ResumeDeps } from '../resume.ts'
import { clocksDifferMs, dueRun, latestRun } from './clock.ts'
import { addRun, runBefore, settle, startWaiting } from './overlap.ts'
import type { Run, StoredSchedule } from './schedule.ts'
import type { ScheduleStore } from './schedule-store.ts'
import { requestOf } from './template.ts'

export type FireDeps = { accept: AcceptDeps; resume: ResumeDeps; store: ScheduleStore; log: Logger }
export type Fire = ReturnType<typeof createFire>

/** Whose the jobs of a schedule are: they share what one caller may have in line. */
const clientOf = (id: string) => `schedule.${id}`

/**
 * Makes the runs of schedules. What is decided of a run is written down before it is done, by whoever is first; doing it is
 * safe to repeat, since its job's id follows from the schedule and the run: so any number of producers may look at once, and
 * each goes on with what another left half done.
 */
export function createFire({ accept, resume, store, log }: FireDeps) {
  const { files, media } = accept

  const jobIdOf = (id: string) => (run: Pick<Run, 'key'>) => keyedId(clientOf(id), run.key)

  /** By what lies in Blob now: another producer's janitor may have removed the job. */
  const goesOn = async (jobId: string): Promise<boolean> =>
    (await files.openMark(jobId)) !== undefined && !(await files.readReport(jobId))

  /** The jobs of the run before that go on, or are yet to be: one that has not begun may have to cancel others. */
  async function openJobs(runs: Run[]): Promise<string[]> {
    const { jobId, outcome, instead = [] } = runBefore(runs) ?? {}
    if (jobId === undefined) return []
    if (outcome !== 'starting') return (await goesOn(jobId)) ? [jobId] : []
    const left: string[] = []
    for (const each of instead) if (await goesOn(each)) left.push(each)
    return [...left, jobId]
  }

  async function note(
    id: string,
    { overlap }: StoredSchedule,
    run: Pick<Run, 'key' | 'at' | 'firedAt' | 'by' | 'missed'>,
  ): Promise<Run[]> {
    const due = { ...run, jobId: jobIdOf(id)(run) }
    const after = await store.changeRuns(id, async (runs) =>
      addRun(runs, due, { overlap }, await openJobs(runs)),
    )
    const { outcome, why } = after.find(({ key }) => key === run.key) ?? {}
    if (outcome === 'skipped' || outcome === 'waiting')
      log.info({ schedule: id, at: run.at, outcome, why }, 'a run of a schedule starts no job now')
    return after
  }

  /** Goes on with what was decided; throws where storage or Redis are away. */
  async function goOn(id: string, schedule: StoredSchedule): Promise<Run[]> {
    let runs = await store.changeRuns(id, async (all) => startWaiting(all, await openJobs(all), jobIdOf(id)))
    for (const run of runs.filter(({ outcome }) => outcome === 'starting')) {
      const to = await start(id, schedule, run)
      if (to) runs = await store.changeRuns(id, (all) => settle(all, run.key, to))
    }
    return runs
  }

  /** Answers what became of it; undefined where there is no room for its job yet. */
  async function start(
    id: string,
    schedule: StoredSchedule,
    run: Run,
  ): Promise<Pick<Run, 'outcome' | 'why'> | undefined> {
    const at = { schedule: id, at: run.at }
    try {
      for (const jobId of run.instead ?? []) if (await goesOn(jobId)) await cancelJob(resume, jobId)
      const request = requestOf(schedule, Date.parse(run.at), media.url)
      const job = await acceptJob(accept, request, { client: clientOf(id), key: run.key })
      log.info({ ...at, job: job.id, missed: run.missed }, 'a run of a schedule started its job')
      return { outcome: 'started' }
    } catch (error) {
      if (!(error instanceof InputError)) throw error
      // Its job is there, of the request as it was before the schedule was changed.
      if (error.code === 'idempotency-mismatch') return { outcome: 'started' }
      if (passes.has(error.code)) {
        log.warn({ ...at, err: error.message }, 'a run of a schedule has to wait for room')
        return undefined
      }
      log.warn({ ...at, err: error.message }, 'a run of a schedule was refused')
      return { outcome: 'refused', why: redact(error.message).slice(0, 1_000) }
    }
  }

  return {
    /** Makes the run that is due at `now` (ms), of several the latest, and goes on with those before it. */
    async look(id: string, schedule: StoredSchedule, now: number): Promise<{ due: boolean; runs: Run[] }> {
      const runs = await store.runsOf(id)
      const due = dueRun(schedule, madeUpTo(schedule, runs, now), now)
      if (due) {
        const at = new Date(due.at).toISOString()
        const firedAt = new Date(now).toISOString()
        const { missed } = due
        await note(id, schedule, { key: at, at, firedAt, by: 'cron', ...(missed > 0 ? { missed } : {}) })
      }
      const isUnderWay = runs.some(({ outcome }) => outcome === 'starting' || outcome === 'waiting')
      return { due: due !== undefined, runs: due || isUnderWay ? await goOn(id, schedule) : runs }
    },
    /**
     * Makes a run now, of the time `at` (ms) or the last that was due, whatever was made of it; the rule for overlaps holds. Once it
     * is written down it is made, if not now then later: who was told that it failed would ask for a second one.
     */
    async runNow(id: string, schedule: StoredSchedule, now: number, at?: number): Promise<Run> {
      if (at !== undefined && at > now)
        throw new InputError('bad-schedule', 'at: a run can be made of a time that has come only.')
      const of = new Date(at ?? latestRun(schedule, now)).toISOString()
      const firedAt = new Date(now).toISOString()
      const key = `${of} by hand ${firedAt}`
      const noted = await note(id, schedule, { key, at: of, firedAt, by: 'hand' })
      const runs = await goOn(id, schedule).catch((err: Error) => {
        log.warn({ schedule: id, at: of, err: err.message }, 'a run of a schedule starts its job later')
        return noted
      })
      const made = runs.find((run) => run.key === key)
      if (made) return made
      throw new TransientError(`The schedule ${id} was changed by others meanwhile.`)
    },
  }
}

const hourMs = 3_600_000

/** Up to when runs were made, in ms. What a clock that was ahead has written down holds nothing up once it is right. */
function madeUpTo({ since }: StoredSchedule, runs: Run[], now: number): number {
  const began = Date.parse(since)
  const last = runs.filter(({ by }) => by === 'cron').map(({ at }) => Date.parse(at))
  return Math.max(began > now + clocksDifferMs ? now - hourMs : began, ...last.filter((at) => at <= now))
}

/** Refusals that are none of the request: there is no room for it yet. */
const passes = new Set(['too-much-queued', 'too-many-requests'])
