import { Worker } from 'node:worker_threads'
import { ResourceError } from '../shared/errors.ts'
import type { FromThread, Numbered, ToThread } from './inference-thread.ts'

/** Longest that loading a model or one run of it may take: beyond it something hangs. */
const askLimitMs = 300_000

export type ModelThread = ReturnType<typeof startModelThread>

/** The inference thread as a function. */
export const startModelThread = () => startThread<{ asks: ToThread; answers: FromThread }>('inference-thread')

/** A thread that answers one question after the other, as a function: `file` is its module beside this one. */
export function startThread<Talk extends { asks: object; answers: object }>(file: string) {
  type Answer = Talk['answers']
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
  const thread = new Worker(new URL(`./${file}.${extension}`, import.meta.url))
  const waiting = new Map<number, { resolve(answer: Answer): void; reject(error: Error): void }>()
  let numbers = 0
  let broken: Error | undefined
  const fail = (error: Error) => {
    broken = error
    for (const each of waiting.values()) each.reject(error)
    waiting.clear()
  }
  thread.on('message', (answer: Numbered<Answer | { failed: string }>) => {
    const asked = waiting.get(answer.id)
    waiting.delete(answer.id)
    if ('failed' in answer) asked?.reject(new Error(answer.failed))
    else asked?.resolve(answer)
  })
  thread.on('error', (error) =>
    fail(new ResourceError(`the inference thread died: ${(error as Error).message}`)),
  )
  thread.on('exit', () => fail(new ResourceError('the inference thread ended')))
  thread.unref()
  return {
    /** Set once the thread has died or hung: it is of no more use. */
    broken: () => broken !== undefined,
    async ask(message: Talk['asks']): Promise<Answer> {
      if (broken) throw broken
      const limit = setTimeout(
        () => fail(new ResourceError(`the model took longer than ${askLimitMs / 1_000} s`)),
        askLimitMs,
      )
      try {
        return await new Promise<Answer>((resolve, reject) => {
          const id = ++numbers
          waiting.set(id, { resolve, reject })
          thread.postMessage({ ...message, id })
        })
      } finally {
        clearTimeout(limit)
      }
    },
    async close() {
      await thread.terminate()
    },
  }
}
