import { connect } from '../endpoint.ts'
import { type Common, print, printLines } from '../output.ts'

export async function listQuarantine(
  options: Common & { offset: number; limit: number },
  env: NodeJS.ProcessEnv,
): Promise<number> {
  const { offset, limit } = options
  const found = await (await api(options, env)).quarantine({ offset, limit })
  if (options.json) {
    print(found)
    return 0
  }
  for (const { id, at, reason, message } of found.records) print(`${id}  ${at}  ${reason}  ${message}`)
  const more = found.total - offset - found.records.length
  if (more > 0) print(`${more} more: --offset ${offset + found.records.length}`)
  return 0
}

export async function showQuarantined(id: string, options: Common, env: NodeJS.ProcessEnv): Promise<number> {
  const record = await (await api(options, env)).quarantined(id)
  if (options.json) print(record)
  else printLines(JSON.stringify(record, undefined, 2).split('\n'))
  return 0
}

export async function retryQuarantined(id: string, options: Common, env: NodeJS.ProcessEnv): Promise<number> {
  const answer = await (await api(options, env)).retryQuarantined(id)
  print(options.json ? answer : `the job ${answer.jobId} runs again`)
  return 0
}

export async function dropQuarantined(id: string, options: Common, env: NodeJS.ProcessEnv): Promise<number> {
  await (await api(options, env)).dropQuarantined(id)
  print(options.json ? { id, dropped: true } : 'dropped')
  return 0
}

const api = async (options: Common, env: NodeJS.ProcessEnv) => (await connect(env, options.dir)).api
