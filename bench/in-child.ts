import { fork } from 'node:child_process'
import type { Measures } from './child-main.ts'

type Job<What extends keyof Measures> = Parameters<Measures[What]>[0]
type Result<What extends keyof Measures> = Awaited<ReturnType<Measures[What]>>

/** Measures one thing in a fresh process. Throws what was thrown there. */
export function measureInChild<What extends keyof Measures>(
  what: What,
  job: Job<What>,
  signal: AbortSignal,
): Promise<Result<What>> {
  // Standard output belongs to the one JSON value that the bench may be asked for.
  const child = fork(new URL('./child-main.ts', import.meta.url), { signal, stdio: ['ignore', 2, 2, 'ipc'] })
  return new Promise((resolve, reject) => {
    child.once('message', (said: { result: Result<What> } | { error: string }) => {
      if ('result' in said) resolve(said.result)
      else reject(new Error(said.error))
    })
    child.once('error', reject)
    child.once('exit', (code) => reject(new Error(`measuring the ${what} ended early (${code})`)))
    child.send({ what, job })
  })
}
