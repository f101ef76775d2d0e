import { connect } from '../endpoint.ts'
import { UsageError } from '../failure.ts'
import { type Common, print } from '../output.ts'

type ResumeOptions = Common & { all: boolean; again: boolean }

/** Puts one job, or all that are open, back on the queues. Throws UsageError when it is not said which. */
export async function resume(
  id: string | undefined,
  options: ResumeOptions,
  env: NodeJS.ProcessEnv,
): Promise<number> {
  if ((id === undefined) !== options.all || (options.all && options.again)) {
    throw new UsageError('say which job to resume, or --all; --again is for one job')
  }
  const { api } = await connect(env, options.dir)
  if (id !== undefined) {
    const answer = await api.resume(id, options.again)
    print(options.json ? answer : answer.outcome)
    return 0
  }
  const tally = await api.resumeAll()
  const told = Object.entries(tally).filter(([, count]) => count > 0)
  print(options.json ? tally : told.map(([what, count]) => `${count} ${what}`).join(', ') || 'no job is open')
  return tally['failed'] ? 1 : 0
}

/** Makes a job's video anew of its frames. */
export async function restitch(id: string, options: Common, env: NodeJS.ProcessEnv): Promise<number> {
  const { api } = await connect(env, options.dir)
  const answer = await api.restitch(id)
  print(options.json ? answer : answer.outcome)
  return 0
}
