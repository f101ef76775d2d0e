import { parentPort } from 'node:worker_threads'
import { InferenceSession, Tensor } from 'onnxruntime-node'

/**
 * The thread that runs the model. onnxruntime-node's run() holds its thread's event loop; on a thread of its own the
 * pipes to and from ffmpeg keep flowing meanwhile. Frames lie in shared memory and are read and written in place.
 * The thread is never terminated during run(): that would abort the whole process.
 */
export type Slot = { input: SharedArrayBuffer; output: SharedArrayBuffer }
export type ToThread =
  | { load: { model: Uint8Array; threads: number } }
  | { slots: Slot[]; inputDims: number[]; outputDims: number[] }
  | { run: number }
export type FromThread =
  | { outputDims: number[] }
  | { ready: true }
  | { done: number; ms: number }
  | { failed: string }

if (!parentPort) throw new Error('inference-thread runs as a thread only')
const port = parentPort
let session: InferenceSession
let slots: { input: Tensor; output: Tensor }[] = []

async function handle(message: ToThread): Promise<FromThread> {
  if ('load' in message) {
    session = await InferenceSession.create(message.load.model, {
      executionProviders: ['cpu'],
      intraOpNumThreads: message.load.threads,
      interOpNumThreads: 1,
      graphOptimizationLevel: 'all',
      // By default idle threads of the runtime spin, and take the cores from ffmpeg and from each other: on two cores
      // the built-in look took 22 to 38 ms a frame with spinning, and 11 ms without, whether ffmpeg was running or not.
      extra: { session: { intra_op: { allow_spinning: '0' } } },
    })
    return { outputDims: await warmUp() }
  }
  if ('slots' in message) {
    slots = message.slots.map(({ input, output }) => ({
      input: new Tensor('uint8', new Uint8Array(input), message.inputDims),
      output: new Tensor('uint8', new Uint8Array(output), message.outputDims),
    }))
    return { ready: true }
  }
  const slot = slots[message.run]
  if (!slot) throw new Error(`no slot ${message.run}`)
  const started = performance.now()
  await session.run({ [inputName()]: slot.input }, { [outputName()]: slot.output })
  return { done: message.run, ms: performance.now() - started }
}

/** The first run lays out memory and picks kernels; it also tells the size of the output. */
async function warmUp(): Promise<number[]> {
  const [described] = session.inputMetadata
  const dims = described && 'shape' in described ? described.shape.map(Number) : []
  const blank = new Tensor('uint8', new Uint8Array(dims.reduce((a, b) => a * b, 1)), dims)
  const result = await session.run({ [inputName()]: blank })
  return [...(result[outputName()]?.dims ?? [])]
}

const inputName = () => session.inputNames[0] as string
const outputName = () => session.outputNames[0] as string

port.on('message', (message: ToThread) => {
  handle(message)
    .then((answer) => port.postMessage(answer))
    .catch((error: unknown) =>
      port.postMessage({ failed: error instanceof Error ? error.message : String(error) }),
    )
})
