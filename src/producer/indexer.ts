import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { ResourceError } from '../shared/errors.ts'
import { unpackError } from '../shared/packed-error.ts'
import type { IndexedSource } from './index-source.ts'
import type { FromIndexer, ToIndexer } from './index-thread.ts'

/** The largest film that is taken needs half of it. */
const mostMegabytes = 512

/** A thread that has read more gives its memory back by ending; to start one takes longer than to read a short clip. */
const mostFramesKept = 100_000

/**
 * Indexes sources, each on a thread that has no other meanwhile: one that takes all memory ends nobody's but itself.
 *
 *   started ──► at work ──answers──► idle ──asked──► at work
 *                  │ └──answers, of a long film──► ended
 *                  └──dies──► its caller hears that memory gave out
 */
export function createIndexer({ megabytes = mostMegabytes } = {}) {
  const threads = new Set<Worker>()
  const idle = new Set<Worker>()
  const resourceLimits = { maxOldGenerationSizeMb: megabytes, maxYoungGenerationSizeMb: 32 }

  function start(): Worker {
    const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
    const thread = new Worker(new URL(`./index-thread.${extension}`, import.meta.url), { resourceLimits })
    thread.unref()
    threads.add(thread)
    // Its caller hears of it too; what dies idle is nobody's.
    thread.on('error', () => {})
    thread.once('exit', () => {
      threads.delete(thread)
      idle.delete(thread)
    })
    return thread
  }

  function take(): Worker {
    const [thread = start()] = idle
    idle.delete(thread)
    return thread
  }

  return {
    /** Does what `indexSource` does; throws the signal's reason once it is aborted. */
    async index(path: string, signal?: AbortSignal): Promise<IndexedSource> {
      signal?.throwIfAborted()
      const thread = take()
      const ask = (message: ToIndexer) => thread.postMessage(message)
      // It is told, and not ended: it has a program of its own to end.
      const abort = () => ask('abort')
      signal?.addEventListener('abort', abort, { once: true })
      try {
        ask({ path })
        const answer = await answerOf(thread)
        if ('indexed' in answer && answer.indexed.frames > mostFramesKept) await thread.terminate()
        else idle.add(thread)
        if ('failed' in answer) throw unpackError(answer.failed)
        const { first, runs, keyframes, ...rest } = answer.indexed
        return { ...rest, times: { first, runs: listOf(runs) }, keyframes: keyframes && listOf(keyframes) }
      } catch (error) {
        signal?.throwIfAborted()
        throw error
      } finally {
        signal?.removeEventListener('abort', abort)
      }
    },
    async close(): Promise<void> {
      await Promise.all([...threads].map(async (thread) => await thread.terminate()))
    },
  }
}

async function answerOf(thread: Worker): Promise<FromIndexer> {
  const over = new AbortController()
  const { signal } = over
  try {
    return await Promise.race([
      once(thread, 'message', { signal }).then(([answer]) => answer as FromIndexer),
      once(thread, 'exit', { signal }).then(() => {
        throw new ResourceError('the thread that indexes ended')
      }),
    ])
  } catch (error) {
    if (error instanceof ResourceError) throw error
    throw new ResourceError(`the thread that indexes died: ${(error as Error).message}`)
  } finally {
    over.abort()
  }
}

/** Array.from goes through an iterator, which takes ten times as long. */
function listOf(numbers: Float64Array): number[] {
  const list: number[] = []
  for (let i = 0; i < numbers.length; i++) list.push(numbers[i] as number)
  return list
}
