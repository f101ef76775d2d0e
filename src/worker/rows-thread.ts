import { parentPort } from 'node:worker_threads'
import { type InferenceSession, Tensor } from 'onnxruntime-node'
import type { DeviceWish } from '../shared/models/device.ts'
import { openSession } from '../shared/models/session.ts'
import { answerInOrder } from './answer-in-order.ts'
import type { ScoreTensor } from './inference-thread.ts'

/**
 * The thread that runs models of features: all of them, one run after the other. onnxruntime-node's run() holds its thread's
 * event loop, 44 ms for 2,048 rows of an SVM with 2,000 vectors; batches that want it at once take turns, run by run.
 */
export type ToRows =
  | { load: string; model: Uint8Array; wish: DeviceWish }
  /** `data` has `rows` rows, one behind the other. */
  | { run: string; data: Float32Array | Float64Array; rows: number }
  | { drop: string }
export type FromRows =
  /** `rows`: of a model that takes so many at a time, never more or less. */
  | { device: string; rows?: number }
  | { tensors: ScoreTensor[]; ms: number }
  | { dropped: string }
  | { failed: string }

if (!parentPort) throw new Error('rows-thread runs as a thread only')
const port = parentPort
const sessions = new Map<string, InferenceSession>()

async function handle(message: ToRows): Promise<FromRows> {
  if ('load' in message) {
    // Runs differ in their rows, so that kept memory would be of no use: a model of 40 KB keeps 17 MB by default, one of 20 MB
    // 300 MB, and neither is faster for it.
    const { session, device } = await openSession(message.model, { ...message.wish, keepsMemory: false })
    await sessions.get(message.load)?.release()
    sessions.set(message.load, session)
    const [input] = session.inputMetadata
    const [rows] = input && 'shape' in input ? input.shape : []
    return { device, ...(typeof rows === 'number' && rows > 0 ? { rows } : {}) }
  }
  if ('drop' in message) {
    await sessions.get(message.drop)?.release()
    sessions.delete(message.drop)
    return { dropped: message.drop }
  }
  const session = sessions.get(message.run)
  if (!session) throw new Error(`the model ${message.run} is not loaded`)
  const { data, rows } = message
  const dims = [rows, data.length / rows]
  const input =
    data instanceof Float64Array ? new Tensor('float64', data, dims) : new Tensor('float32', data, dims)
  const began = performance.now()
  const made = await session.run({ [session.inputNames[0] ?? '']: input })
  const ms = performance.now() - began
  const tensors = Object.entries(made).map(([name, each]) => ({
    ...{ name, dims: [...each.dims], data: each.data },
  }))
  return { tensors: tensors as ScoreTensor[], ms }
}

answerInOrder<ToRows>(port, handle)
