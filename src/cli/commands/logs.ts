import { findEndpoint } from '../api-client.ts'
import type { Common } from './jobs.ts'

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
  const { apiUrl, token } = await findEndpoint(env, options.dir)
  let after: string | null = ''
  while (after !== null) {
    const query: string = after === '' ? '' : `?after=${after}`
    const answer = await fetch(`${apiUrl}/v1/jobs/${encodeURIComponent(id)}/logs${query}`, {
      headers: { authorization: `Bearer ${token}` },
      signal,
    }).catch((error: unknown) => {
      throw new Error(`the API at ${apiUrl} can't be reached`, { cause: error })
    })
    const text = await answer.text()
    if (!answer.ok) throw new Error(sentenceOf(text) ?? `the API answered ${answer.status}`)
    const lines = text.split('\n').filter(Boolean)
    for (const line of lines) process.stdout.write(`${options.json ? line : forPeople(line)}\n`)
    after = answer.headers.get('framefleet-next')
  }
  return 0
}

function sentenceOf(body: string): string | undefined {
  try {
    return (JSON.parse(body) as { detail?: string }).detail
  } catch {
    return undefined
  }
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
  return `${head.join(' ')}${error === undefined ? '' : `\n             ${String(error)}`}`
}
