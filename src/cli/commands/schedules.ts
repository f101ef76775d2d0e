import type { Schedule, ScheduleHistory, ScheduleRun, ScheduleView } from '../../client/client.ts'
import { connect } from '../endpoint.ts'
import { readJson } from '../given-file.ts'
import { type Common, print, printLines } from '../output.ts'

type Env = NodeJS.ProcessEnv

export async function listSchedules(options: Common, env: Env): Promise<number> {
  const { api } = await connect(env, options.dir)
  const { schedules } = await api.schedules()
  if (options.json) print({ schedules })
  else printLines(schedules.length > 0 ? schedules.map(describeSchedule) : ['no schedules'])
  return 0
}

export async function showSchedule(id: string, options: Common, env: Env): Promise<number> {
  const { api } = await connect(env, options.dir)
  const schedule = await api.schedule(id)
  if (options.json) print(schedule)
  else printLines(describeHistory(schedule))
  return 0
}

export async function setSchedule(id: string, file: string, options: Common, env: Env): Promise<number> {
  // The API says what is wrong with it.
  const schedule = (await readJson(file)) as Schedule
  const { api } = await connect(env, options.dir)
  const view = await api.setSchedule(id, schedule)
  print(options.json ? view : describeSchedule(view))
  return 0
}

export async function removeSchedule(id: string, options: Common, env: Env): Promise<number> {
  const { api } = await connect(env, options.dir)
  await api.removeSchedule(id)
  print(options.json ? { id } : `${id} is removed`)
  return 0
}

/** Answers 1 where the run started no job. */
export async function runScheduleNow(
  id: string,
  { at, ...options }: Common & { at?: string },
  env: Env,
): Promise<number> {
  const { api } = await connect(env, options.dir)
  const run = await api.runSchedule(id, at === undefined ? {} : { at })
  print(options.json ? run : describeRun(run))
  return run.outcome === 'skipped' || run.outcome === 'refused' ? 1 : 0
}

function describeSchedule({ id, cron, timezone, overlap, nextRun, lastRun }: ScheduleView): string {
  const last = lastRun ? `last ${describeRun(lastRun)}` : 'no run yet'
  return `${id}  ${cron} (${timezone}, ${overlap ?? 'skip'})  next ${nextRun}  ${last}`
}

function describeHistory(schedule: ScheduleHistory): string[] {
  return [describeSchedule(schedule), JSON.stringify(schedule.job), ...schedule.runs.map(describeRun)]
}

function describeRun({ at, by, outcome, jobId, missed, why }: ScheduleRun): string {
  return [
    at,
    outcome,
    ...(jobId === undefined ? [] : [jobId]),
    ...(by === 'hand' ? ['by hand'] : []),
    ...(missed ? [`${missed} before it were missed`] : []),
    ...(why === undefined ? [] : [why]),
  ].join('  ')
}
