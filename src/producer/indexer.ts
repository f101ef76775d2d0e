import { Worker } from 'node:worker_threads'
import { ResourceError } from '../shared/errors.ts'
import { unpackError } from '../shared/packed-error.ts'
import type { IndexedSource } from './index-source.ts'
import type { FromIndexer, PackedIndex, ToIndexer } from './index-thread.ts'

/** The largest film that is taken needs half of it. */
const mostMegabytes = 512

/**
 * Indexes each source on a thread of its own: one that takes all memory ends nobody's but itself.
 *
 *   started ──answers──► ended
 *      └─────dies──────► its caller hears that memory gave out
 */
export function createIndexer({ megabytes = mostMegabytes } = {}) {
  const running = new Set<Worker>()
  const resourceLimits = { maxOldGenerationSizeMb: megabytes, maxYoungGenerationSizeMb: 32 }

  function start(path: string): Worker {
    const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
    const main = new URL(`./index-thread.${extension}`, import.meta.url)
    const thread = new Worker(main, { resourceLimits, workerData: path })
    thread.unref()
    return thread
  }

  return {
    /** Does what `indexSource` does; throws the signal's reason once it is aborted. */
    async index(path: string, signal?: AbortSignal): Promise<IndexedSource> {
      signal?.throwIfAborted()
      const thread = start(path)
      running.add(thread)
      // It is told, and not ended: it has a program of its own to end.
      const abort = () => thread.postMessage('abort' satisfies ToIndexer)
      signal?.addEventListener('abort', abort, { once: true })
      try {
        const { first, runs, keyframes, ...rest } = await answerOf(thread)
        return { ...rest, times: { first, runs: listOf(runs) }, keyframes: keyframes && listOf(keyframes) }
      } catch (error) {
        signal?.throwIfAborted()
        throw error
      } finally {
        signal?.removeEventListener('abort', abort)
        running.delete(thread)
        await thread.terminate()
      }
    },
    async close(): Promise<void> {
      await Promise.all([...running].map(async (thread) => await thread.terminate()))
    },
  }
}

async function answerOf(thread: Worker): Promise<PackedIndex> {
  return await new Promise((resolve, reject) => {
    thread.once('message', (answer: FromIndexer) =>
      'failed' in answer ? reject(unpackError(answer.failed)) : resolve(answer.indexed),
    )
    thread.once('error', (error) =>
      reject(new ResourceError(`the thread that indexes died: ${(error as Error).message}`)),
    )
    thread.once('exit', () => reject(new ResourceError('the thread that indexes ended')))
  })
}

/** Array.from goes through an iterator, which takes ten times as long. */
function listOf(numbers: Float64Array): number[] {
  const list: number[] = []
  for (let i = 0; i < numbers.length; i++) list.push(numbers[i] as number)
  return list
}
