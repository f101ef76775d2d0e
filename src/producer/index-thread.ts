import { parentPort } from 'node:worker_threads'
import { type PackedError, packError } from '../shared/packed-error.ts'
import { type IndexedSource, indexSource } from './index-source.ts'

/**
 * A thread that indexes one source at a time. A long film is millions of lines from ffprobe, and starting a program holds the loop
 * of whoever starts it: the API answers from another.
 */
export type ToIndexer = { path: string } | 'abort'
export type FromIndexer = { indexed: PackedIndex } | { failed: PackedError }

/** Long lists are handed over and not copied. */
export type PackedIndex = Omit<IndexedSource, 'times' | 'keyframes'> & {
  first: number
  runs: Float64Array<ArrayBuffer>
  keyframes: Float64Array<ArrayBuffer> | null
}

if (!parentPort) throw new Error('index-thread runs as a thread only')
const port = parentPort
let stop: AbortController | undefined
port.on('message', (message: ToIndexer) => {
  if (message === 'abort') stop?.abort(new Error('nobody waits for it any more'))
  else void answer(message.path)
})

async function answer(path: string): Promise<void> {
  const its = new AbortController()
  stop = its
  try {
    const { times, keyframes, ...rest } = await indexSource(path, its.signal)
    const runs = Float64Array.from(times.runs)
    const keys = keyframes && Float64Array.from(keyframes)
    const indexed: PackedIndex = { ...rest, first: times.first, runs, keyframes: keys }
    port.postMessage({ indexed } satisfies FromIndexer, [runs.buffer, ...(keys ? [keys.buffer] : [])])
  } catch (error) {
    port.postMessage({ failed: packError(error) } satisfies FromIndexer)
  }
}
