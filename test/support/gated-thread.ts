import { parentPort } from 'node:worker_threads'

/** Answers each question once its gate is opened, and hears nothing meanwhile, as a thread that runs a model. */
parentPort?.on('message', ({ gate, id }: { gate: Int32Array; id: number }) => {
  Atomics.wait(gate, 0, 0)
  parentPort?.postMessage({ opened: true, id })
})
