import { type JobAnswer, createApiClient, findEndpoint } from '../api-client.ts'
import { watchJob } from '../watch-job.ts'

export type Common = { dir: string; json: boolean }

export const print = (value: unknown) =>
  void process.stdout.write(`${typeof value === 'string' ? value : JSON.stringify(value)}\n`)

export async function watch(
  id: string,
  options: Common,
  env: NodeJS.ProcessEnv,
  signal: AbortSignal,
): Promise<number> {
  const api = createApiClient(await findEndpoint(env, options.dir))
  const job = await watchJob(api, id, { quiet: options.json, signal })
  print(
    options.json
      ? job
      : `${job.status}${job.error ? `: ${job.error.message}` : ''}${job.output ? ` ${job.output}` : ''}`,
  )
  return job.status === 'succeeded' ? 0 : 1
}

export async function cancel(id: string, options: Common, env: NodeJS.ProcessEnv): Promise<number> {
  const answer = await createApiClient(await findEndpoint(env, options.dir)).cancel(id)
  print(options.json ? answer : answer.status)
  return 0
}

type ListOptions = Common & { state?: string; limit: number; offset: number }

export async function listJobs(options: ListOptions, env: NodeJS.ProcessEnv): Promise<number> {
  const api = createApiClient(await findEndpoint(env, options.dir))
  const answer = await api.jobs(options)
  if (options.json) print(answer)
  else for (const job of answer.jobs) print(lineOf(job))
  return 0
}

function lineOf({ id, status, frames, error }: JobAnswer): string {
  const counts = `${frames.done}/${frames.total ?? '?'}`
  return [id, status.padEnd(9), counts, error?.message ?? ''].join('  ').trimEnd()
}
