import { connect } from '../endpoint.ts'
import { type Common, print } from '../output.ts'

/**
 * Prints what all roles said of a job, in the order of time: a line for people, or as it was written with `json`. Answers the
 * exit code.
 */
export async function logs(
  id: string,
  options: Common,
  env: NodeJS.ProcessEnv,
  signal: AbortSignal,
): Promise<number> {
  const { api } = await connect(env, options.dir)
  for await (const line of api.logs(id, { signal })) print(options.json ? line : forPeople(line))
  return 0
}

/** Said with each line, or of no use to who reads it. */
const plain = new Set(['level', 'time', 'role', 'pid', 'msg', 'job', 'err', 'queue'])

/** `09:15:02.123 worker   batch done  entry=… frames=96`: one line, and the whole text of an error below it. */
export function forPeople(line: string): string {
  const { level, time, role, msg, err, ...said } = JSON.parse(line) as Record<string, unknown>
  const fields = Object.entries(said)
    .filter(([name]) => !plain.has(name))
    .map(([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
  const loud = level === 'info' || level === 'debug' ? '' : `${String(level).toUpperCase()}: `
  const head = [String(time).slice(11, 23), String(role).padEnd(10), `${loud}${String(msg)}`, ...fields]
  const error = typeof err === 'object' && err !== null ? (err as { message?: string }).message : err
  return `${head.join(' ')}${error === undefined ? '' : `\n             ${typeof error === 'string' ? error : JSON.stringify(error)}`}`
}
