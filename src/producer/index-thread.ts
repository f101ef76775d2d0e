import { parentPort, workerData } from 'node:worker_threads'
import { type PackedError, packError } from '../shared/packed-error.ts'
import { type IndexedSource, indexSource } from './index-source.ts'

/**
 * The thread that indexes one source. A long film is millions of lines from ffprobe, and starting a program holds the loop
 * of whoever starts it: the API answers from another.
 */
export type ToIndexer = 'abort'
export type FromIndexer = { indexed: PackedIndex } | { failed: PackedError }

/** Long lists are handed over and not copied. */
export type PackedIndex = Omit<IndexedSource, 'times' | 'keyframes'> & {
  first: number
  runs: Float64Array<ArrayBuffer>
  keyframes: Float64Array<ArrayBuffer> | null
}

if (!parentPort) throw new Error('index-thread runs as a thread only')
const port = parentPort
const stop = new AbortController()
port.on('message', () => stop.abort(new Error('nobody waits for it any more')))

try {
  const { times, keyframes, ...rest } = await indexSource(workerData as string, stop.signal)
  const runs = Float64Array.from(times.runs)
  const keys = keyframes && Float64Array.from(keyframes)
  const indexed: PackedIndex = { ...rest, first: times.first, runs, keyframes: keys }
  port.postMessage({ indexed } satisfies FromIndexer, [runs.buffer, ...(keys ? [keys.buffer] : [])])
} catch (error) {
  port.postMessage({ failed: packError(error) } satisfies FromIndexer)
}
