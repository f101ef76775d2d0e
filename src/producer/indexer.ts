import { Worker } from 'node:worker_threads'
import { ResourceError } from '../shared/errors.ts'
import { unpackError } from '../shared/packed-error.ts'
import type { IndexedSource } from './index-source.ts'
import type { FromIndexer, PackedIndex, ToIndexer } from './index-thread.ts'

/** The largest film that is taken needs a third of it. */
const resourceLimits = { maxOldGenerationSizeMb: 768, maxYoungGenerationSizeMb: 32 }

/**
 * Indexes sources on a thread of its own, which is started when it is first needed.
 *
 *   none ──asked──► running ──died──► none        all that it was at fails then, and is tried again
 */
export function createIndexer() {
  const waiting = new Map<number, { resolve(index: PackedIndex): void; reject(error: Error): void }>()
  let thread: Worker | undefined
  let calls = 0

  function start(): Worker {
    const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
    const started = new Worker(new URL(`./index-thread.${extension}`, import.meta.url), { resourceLimits })
    const died = (error: Error) => {
      if (thread !== started) return
      thread = undefined
      for (const each of waiting.values()) each.reject(error)
      waiting.clear()
    }
    started.on('message', (answer: FromIndexer) => {
      const asked = waiting.get(answer.call)
      waiting.delete(answer.call)
      if ('failed' in answer) asked?.reject(unpackError(answer.failed))
      else asked?.resolve(answer.indexed)
    })
    started.on('error', (error) =>
      died(new ResourceError(`the thread that indexes died: ${(error as Error).message}`)),
    )
    started.on('exit', () => died(new ResourceError('the thread that indexes ended')))
    started.unref()
    return started
  }

  return {
    /** Does what `indexSource` does; throws the signal's reason once it is aborted. */
    async index(path: string, signal?: AbortSignal): Promise<IndexedSource> {
      signal?.throwIfAborted()
      thread ??= start()
      const its = thread
      const call = ++calls
      const ask = (message: ToIndexer) => its.postMessage(message)
      const abort = () => ask({ call, abort: true })
      signal?.addEventListener('abort', abort, { once: true })
      try {
        const answer = new Promise<PackedIndex>((resolve, reject) => waiting.set(call, { resolve, reject }))
        ask({ call, path })
        const { first, runs, keyframes, ...rest } = await answer
        return { ...rest, times: { first, runs: listOf(runs) }, keyframes: keyframes && listOf(keyframes) }
      } catch (error) {
        signal?.throwIfAborted()
        throw error
      } finally {
        signal?.removeEventListener('abort', abort)
      }
    },
    async close(): Promise<void> {
      await thread?.terminate()
    },
  }
}

/** Array.from goes through an iterator, which takes ten times as long. */
function listOf(numbers: Float64Array): number[] {
  const list: number[] = []
  for (let i = 0; i < numbers.length; i++) list.push(numbers[i] as number)
  return list
}
