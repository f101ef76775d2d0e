import { isMainThread } from 'node:worker_threads'

/**
 * Loaded before anything else into workers that are measured (`node --import`): every run of a model takes a fixed time
 * a frame, most of which the thread spends waiting, as it would for a GPU, so that many workers fit on few cores. The rest of
 * the worker is the product's own, and so is the model, which is run for real within that time.
 *
 * Models run on threads, and nowhere else.
 */
export const waitVariable = 'BENCH_SECONDS_PER_FRAME'

if (!isMainThread) {
  const { InferenceSession } = await import('onnxruntime-node')
  const secondsPerFrame = Number(process.env[waitVariable])
  if (!(secondsPerFrame > 0)) throw new Error(`${waitVariable} must be a number of seconds`)
  // What makes sessions is a class, whatever its types say.
  const { prototype } = InferenceSession as unknown as {
    prototype: { run(feeds: Record<string, { dims: number[] }>, ...more: unknown[]): Promise<unknown> }
  }
  const { run } = prototype
  const never = new Int32Array(new SharedArrayBuffer(4))
  prototype.run = async function slowed(feeds, ...more) {
    const began = performance.now()
    const result = await run.call(this, feeds, ...more)
    const frames = Object.values(feeds)[0]?.dims[0] ?? 1
    const left = frames * secondsPerFrame * 1_000 - (performance.now() - began)
    // Holds the thread, as a run does.
    if (left > 0) Atomics.wait(never, 0, 0, left)
    return result
  }
}
