import type { Client, Job } from '../../client/client.ts'
import { fetchOutput, lastOf } from '../download.ts'
import { connect } from '../endpoint.ts'
import { type Common, print, printLines, tell } from '../output.ts'
import { elsewhere } from '../program/options.ts'
import { watchJob } from '../watch-job.ts'

export async function watch(
  id: string,
  options: Common,
  env: NodeJS.ProcessEnv,
  signal: AbortSignal,
): Promise<number> {
  const { api } = await connect(env, options.dir)
  return await follow(api, id, options, signal)
}

/** Follows a job to its end and says what became of it. Answers the exit code. */
export async function follow(
  api: Client,
  id: string,
  { json, out, dir }: Common & { out?: string },
  signal: AbortSignal,
): Promise<number> {
  const at = elsewhere(dir)
  const job = await watchJob(api, id, { quiet: json, signal }).catch((error: unknown) => {
    if (signal.aborted) tell(`the job goes on: framefleet watch ${id}${at}`)
    throw error
  })
  const { status, error } = job
  const saved =
    status === 'succeeded' && out !== undefined ? await fetchOutput(api, id, out, signal) : undefined
  if (json) print(job)
  else if (status === 'succeeded') {
    await tellFailed(api, job, signal)
    const where =
      job.makes === 'images' ? `images under ${job.output ?? ''}` : `framefleet download ${id}${at}`
    print(`${status}: ${saved ?? where}`)
  } else print(error ? `${status}: ${error.message}` : status)
  return status === 'succeeded' ? 0 : 1
}

/** A job may succeed though some of its items failed: the report has all their names, here is one. */
async function tellFailed(api: Client, { id, unit }: Job, signal: AbortSignal): Promise<void> {
  const { items } = await api.report(id, { signal })
  const [first] = items?.failures ?? []
  if (items && first) tell(`${items.failed} of ${items.total} ${unit} failed, ${first.key}: ${first.message}`)
}

/** Fetches what a job made; prints where it lies now. */
export async function download(
  id: string,
  options: Common & { out?: string },
  env: NodeJS.ProcessEnv,
  signal: AbortSignal,
): Promise<number> {
  const { api } = await connect(env, options.dir)
  const path = await fetchOutput(api, id, options.out, signal)
  print(options.json ? { id, path } : path)
  return 0
}

export async function cancel(id: string, options: Common, env: NodeJS.ProcessEnv): Promise<number> {
  const { api } = await connect(env, options.dir)
  const answer = await api.cancel(id)
  print(options.json ? answer : answer.status)
  return 0
}

type ListOptions = Common & { state?: Job['status']; limit: number; offset: number }

/** Of a page the API gives at most so many; of all there are, those in one state are looked for among the newest. */
const pageSize = 100
const mostLookedAt = 10_000

/** Lists jobs, newest first; `offset` counts all of them, whatever state is asked for. */
export async function listJobs(options: ListOptions, env: NodeJS.ProcessEnv): Promise<number> {
  const { state, limit, offset } = options
  const { api } = await connect(env, options.dir)
  const jobs: Job[] = []
  for (let at = offset; jobs.length < limit && at < offset + mostLookedAt; at += pageSize) {
    const page = await api.jobs({
      offset: at,
      limit: state ? pageSize : Math.min(pageSize, limit - jobs.length),
    })
    jobs.push(...page.jobs.filter(({ status }) => state === undefined || status === state))
    if (page.jobs.length < pageSize) break
  }
  const shown = jobs.slice(0, limit)
  if (options.json) print({ jobs: shown })
  else printLines(tableOf(shown))
  return 0
}

/** A line for each: what a shell cuts by columns comes first, sentences last. */
function tableOf(jobs: Job[]): string[] {
  if (jobs.length === 0) return ['no jobs']
  const rows = jobs.map(({ id, status, createdAt, frames, model, source, error }) => [
    id,
    status,
    createdAt.slice(0, 19).replace('T', ' '),
    `${frames.done}/${frames.total ?? '?'}`,
    model,
    error?.message ?? lastOf(source),
  ])
  const all = [['ID', 'STATE', 'CREATED (UTC)', 'DONE', 'MODEL', 'WHAT'], ...rows]
  const widths = all[0]?.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0))) ?? []
  return all.map((row) =>
    row
      .map((text, column) => (column === row.length - 1 ? text : text.padEnd(widths[column] ?? 0)))
      .join('  ')
      .trimEnd(),
  )
}
