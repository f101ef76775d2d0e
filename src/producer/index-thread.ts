import { parentPort } from 'node:worker_threads'
import { type PackedError, packError } from '../shared/packed-error.ts'
import { type IndexedSource, indexSource } from './index-source.ts'

/**
 * The thread that indexes sources. A long film is millions of lines from ffprobe, and starting a program holds the loop
 * of whoever starts it: the API answers from another.
 */
export type ToIndexer = { call: number; path: string } | { call: number; abort: true }
export type FromIndexer = { call: number } & ({ indexed: PackedIndex } | { failed: PackedError })

/** Long lists are handed over and not copied. */
export type PackedIndex = Omit<IndexedSource, 'times' | 'keyframes'> & {
  first: number
  runs: Float64Array<ArrayBuffer>
  keyframes: Float64Array<ArrayBuffer> | null
}

if (!parentPort) throw new Error('index-thread runs as a thread only')
const port = parentPort
const underWay = new Map<number, AbortController>()

port.on('message', (message: ToIndexer) => {
  if ('abort' in message) underWay.get(message.call)?.abort(new Error('nobody waits for it any more'))
  else void index(message)
})

async function index({ call, path }: { call: number; path: string }): Promise<void> {
  const stop = new AbortController()
  underWay.set(call, stop)
  try {
    const { times, keyframes, ...rest } = await indexSource(path, stop.signal)
    const runs = Float64Array.from(times.runs)
    const keys = keyframes && Float64Array.from(keyframes)
    const indexed: PackedIndex = { ...rest, first: times.first, runs, keyframes: keys }
    port.postMessage({ call, indexed } satisfies FromIndexer, [runs.buffer, ...(keys ? [keys.buffer] : [])])
  } catch (error) {
    port.postMessage({ call, failed: packError(error) } satisfies FromIndexer)
  } finally {
    underWay.delete(call)
  }
}
