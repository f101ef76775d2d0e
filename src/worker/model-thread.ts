import { Worker } from 'node:worker_threads'
import { LostError, ResourceError } from '../shared/errors.ts'
import type { Numbered } from './answer-in-order.ts'
import type { FromThread, ToThread } from './inference-thread.ts'

/** Longest that loading a model or one run of it may take, from when the thread turned to it: beyond it something hangs. */
const askLimitMs = 300_000

export type ModelThread = ReturnType<typeof startModelThread>

/** The inference thread as a function. */
export const startModelThread = () => startThread<{ asks: ToThread; answers: FromThread }>('inference-thread')

/**
 * A thread that answers one question after the other, in their order, as a function: `file` is its module beside this one. Where it
 * dies or hangs, what it was at fails with ResourceError, and all that had not begun with LostError.
 */
export function startThread<Talk extends { asks: object; answers: object }>(file: string) {
  type Answer = Talk['answers']
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
  const thread = new Worker(new URL(`./${file}.${extension}`, import.meta.url))
  // In order: the first is the one that it is at.
  const waiting = new Map<number, { resolve(answer: Answer): void; reject(error: Error): void }>()
  let numbers = 0
  let broken: Error | undefined
  let limit: NodeJS.Timeout | undefined
  const fail = (why: string) => {
    clearTimeout(limit)
    if (broken) return
    const [culprit, ...others] = waiting.values()
    // What has not begun is not to blame. With nobody to suspect it is the thread itself that can't live.
    broken = culprit ? new LostError(why) : new ResourceError(why)
    culprit?.reject(new ResourceError(why))
    for (const each of others) each.reject(broken)
    waiting.clear()
  }
  const watchFirst = () => {
    clearTimeout(limit)
    if (waiting.size === 0) return
    limit = setTimeout(() => fail(`the model took longer than ${askLimitMs / 1_000} s`), askLimitMs)
  }
  thread.on('message', (answer: Numbered<Answer | { failed: string }>) => {
    const asked = waiting.get(answer.id)
    waiting.delete(answer.id)
    watchFirst()
    if ('failed' in answer) asked?.reject(new Error(answer.failed))
    else asked?.resolve(answer)
  })
  thread.on('error', (error) => fail(`the inference thread died: ${(error as Error).message}`))
  thread.on('exit', () => fail('the inference thread ended'))
  thread.unref()
  return {
    /** Set once the thread has died or hung: it is of no more use. */
    broken: () => broken !== undefined,
    async ask(message: Talk['asks']): Promise<Answer> {
      if (broken) throw broken
      return await new Promise<Answer>((resolve, reject) => {
        const id = ++numbers
        waiting.set(id, { resolve, reject })
        if (waiting.size === 1) watchFirst()
        thread.postMessage({ ...message, id })
      })
    },
    async close() {
      await thread.terminate()
    },
  }
}
