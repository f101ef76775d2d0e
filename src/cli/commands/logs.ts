import { connect } from '../endpoint.ts'
import { type Common, print, printLines } from '../output.ts'

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
  for await (const line of api.logs(id, { signal })) {
    if (options.json) print(line)
    else printLines(forPeople(line))
  }
  return 0
}

/** Said with each line, or of no use to who reads it. */
const plain = new Set(['level', 'time', 'role', 'pid', 'msg', 'job', 'err', 'queue'])

/** `09:15:02.123 worker   batch done  entry=… frames=96`: one line, and the text of an error below it. What is no line of ours stays. */
export function forPeople(line: string): string[] {
  const said = toFields(line)
  if (!said) return [line]
  const { level, time, role, msg, err, ...more } = said
  const fields = Object.entries(more)
    .filter(([name]) => !plain.has(name))
    .map(([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
  const loud = level === 'info' || level === 'debug' ? '' : `${String(level).toUpperCase()}: `
  const head = [String(time).slice(11, 23), String(role).padEnd(10), `${loud}${String(msg)}`, ...fields]
  const error = typeof err === 'object' && err !== null ? (err as { message?: unknown }).message : err
  const below =
    error === undefined ? [] : (typeof error === 'string' ? error : JSON.stringify(error)).split('\n')
  return [head.join(' '), ...below.map((each) => `             ${each}`)]
}

/** Undefined for what a process that died has left half written, or what is no line of ours at all. */
function toFields(line: string): Record<string, unknown> | undefined {
  try {
    const read: unknown = JSON.parse(line)
    return typeof read === 'object' && read !== null && 'msg' in read ? { ...read } : undefined
  } catch {
    return undefined
  }
}
