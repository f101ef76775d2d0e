import { parentPort } from 'node:worker_threads'
import { type InferenceSession, Tensor } from 'onnxruntime-node'
import type { Device, DeviceWish } from '../shared/models/device.ts'
import { openSession } from '../shared/models/session.ts'
import { answerInOrder } from './answer-in-order.ts'

/**
 * The thread that runs the model. onnxruntime-node's run() holds its thread's event loop; on a thread of its own the
 * pipes to and from ffmpeg keep flowing meanwhile. Frames lie in shared memory and are read and written in place.
 * The thread is never terminated during run(): that would abort the whole process.
 */
/** An output that is no image. */
export type ScoreTensor = { name: string; dims: number[]; data: Float32Array | Float64Array | BigInt64Array }
export type Slot = { input: SharedArrayBuffer; output: SharedArrayBuffer }
export type ToThread =
  | { load: { model: Uint8Array; wish: DeviceWish } }
  | { ring: number; slots: Slot[]; inputDims: number[]; outputDims: number[] }
  | { run: number; ring: number }
export type FromThread =
  | { inputDims: number[]; outputDims: number[]; device: Device; fellBack?: string; runMs: number }
  | { done: number; ms: number; tensors?: ScoreTensor[] }
  | { failed: string }

if (!parentPort) throw new Error('inference-thread runs as a thread only')
const port = parentPort
let session: InferenceSession
/** One run of such a model says enough. */
const slowMs = 100

const rings = new Map<number, { input: Tensor; output: Tensor }[]>()

async function handle(message: ToThread): Promise<FromThread> {
  if ('load' in message) {
    const opened = await openSession(message.load.model, message.load.wish)
    ;({ session } = opened)
    return { ...(await warmUp(opened.device)), device: opened.device, fellBack: opened.fellBack }
  }
  if ('slots' in message) {
    const { ring, inputDims, outputDims } = message
    const tensors = message.slots.map(({ input, output }) => ({
      input: new Tensor('uint8', new Uint8Array(input), inputDims),
      output: new Tensor('uint8', new Uint8Array(output), outputDims),
    }))
    rings.set(ring, tensors)
    return { done: ring, ms: 0 }
  }
  const slot = rings.get(message.ring)?.[message.run]
  if (!slot) throw new Error(`no slot ${message.run} in ring ${message.ring}`)
  const started = performance.now()
  if (!makesImage()) {
    const made = await session.run({ [inputName()]: slot.input })
    const ms = performance.now() - started
    const tensors = Object.entries(made).map(([name, { dims, data }]) => ({ name, dims: [...dims], data }))
    return { done: message.run, ms, tensors: tensors as ScoreTensor[] }
  }
  await session.run({ [inputName()]: slot.input }, { [outputName()]: slot.output })
  return { done: message.run, ms: performance.now() - started }
}

/** The first runs lay out memory and pick kernels, and the first of all tells the size of the output. */
async function warmUp(device: Device) {
  const [described] = session.inputMetadata
  const inputDims = described && 'shape' in described ? described.shape.map(Number) : []
  const blank = new Tensor('uint8', new Uint8Array(inputDims.reduce((a, b) => a * b, 1)), inputDims)
  const began = performance.now()
  const first = await session.run({ [inputName()]: blank })
  const firstMs = performance.now() - began
  // Other outputs come fresh with each run: nothing is kept ready for them.
  const outputDims = makesImage() ? [...(first[outputName()]?.dims ?? [])] : [0]
  // On a processor such a run spends its time on arithmetic; another would only make the first batch wait.
  if (device === 'cpu' && firstMs > slowMs) return { inputDims, outputDims, runMs: firstMs }
  // The runtime settles on its memory in the second run; how long a run takes shows from the third on.
  await session.run({ [inputName()]: blank })
  const times: number[] = []
  while (times.length < 3 && (times[0] ?? 0) < slowMs) {
    const started = performance.now()
    await session.run({ [inputName()]: blank })
    times.push(performance.now() - started)
  }
  return { inputDims, outputDims, runMs: times.sort((a, b) => a - b)[times.length >> 1] ?? 0 }
}

/** A wrapped model's one output is bytes, unless it makes no image. */
const makesImage = () => {
  const [only, other] = session.outputMetadata
  return other === undefined && only?.isTensor === true && only.type === 'uint8'
}
const inputName = () => session.inputNames[0] as string
const outputName = () => session.outputNames[0] as string

answerInOrder<ToThread>(port, handle)
