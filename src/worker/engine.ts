import { Worker } from 'node:worker_threads'
import { classify } from '../shared/classify.ts'
import { InputError, ResourceError } from '../shared/errors.ts'
import type { FromThread, Slot, ToThread } from './inference-thread.ts'

/**
 * A loaded model for one picture size, and the ring of frames it works on. A frame's way:
 *
 *   free ──take──► filling ──run──► scoring ──► scored ──release──► free
 *
 * Slots are shared memory, made once; whoever is slower makes the others wait, so memory never grows.
 */
export type Engine = {
  output: { width: number; height: number }
  slots: { input: Uint8Array; output: Uint8Array }[]
  /** Scores the frame in a slot; milliseconds of the model alone. One at a time, in order. */
  run(slot: number): Promise<number>
  /** Set once the thread has died or hung: this engine is of no more use. */
  broken(): boolean
  close(): Promise<void>
}

type EngineJob = {
  model: Uint8Array
  modelName: string
  width: number
  height: number
  threads: number
  ring: number
}

/** Longest that loading a model or scoring one frame may take: beyond it something hangs. */
const runLimitMs = 300_000

/** Loads a wrapped model (uint8 NHWC in and out). Throws InputError when the runtime refuses the model or the size. */
export async function startEngine({
  model,
  modelName,
  width,
  height,
  threads,
  ring,
}: EngineJob): Promise<Engine> {
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
  const thread = new Worker(new URL(`./inference-thread.${extension}`, import.meta.url))
  const waiting: { resolve(answer: FromThread): void; reject(error: Error): void }[] = []
  let broken: Error | undefined
  const fail = (error: Error) => {
    broken = error
    for (const each of waiting.splice(0)) each.reject(error)
  }
  thread.on('message', (answer: FromThread) => {
    const next = waiting.shift()
    if ('failed' in answer) next?.reject(new Error(answer.failed))
    else next?.resolve(answer)
  })
  thread.on('error', (error) =>
    fail(new ResourceError(`the inference thread died: ${(error as Error).message}`)),
  )
  thread.on('exit', () => fail(new ResourceError('the inference thread ended')))
  thread.unref()

  const ask = async (message: ToThread) => {
    if (broken) throw broken
    const limit = setTimeout(
      () => fail(new ResourceError(`the model took longer than ${runLimitMs / 1_000} s`)),
      runLimitMs,
    )
    try {
      return await new Promise<FromThread>((resolve, reject) => {
        waiting.push({ resolve, reject })
        thread.postMessage(message)
      })
    } finally {
      clearTimeout(limit)
    }
  }
  const close = async () => {
    await thread.terminate()
  }

  try {
    const loaded = await ask({ load: { model, threads } })
    const outputDims = 'outputDims' in loaded ? loaded.outputDims : []
    const [, outHeight = 0, outWidth = 0] = outputDims
    const inputDims = [1, height, width, 3]
    const shared: Slot[] = Array.from({ length: ring }, () => ({
      input: new SharedArrayBuffer(width * height * 3),
      output: new SharedArrayBuffer(outputDims.reduce((a, b) => a * b, 1)),
    }))
    await ask({ slots: shared, inputDims, outputDims })
    return {
      output: { width: outWidth, height: outHeight },
      slots: shared.map(({ input, output }) => ({
        input: new Uint8Array(input),
        output: new Uint8Array(output),
      })),
      async run(slot) {
        const answer = await ask({ run: slot }).catch((error: unknown) => {
          throw refusal(error, modelName, width, height)
        })
        return 'done' in answer ? answer.ms : 0
      },
      broken: () => broken !== undefined,
      close,
    }
  } catch (error) {
    await close()
    throw refusal(error, modelName, width, height)
  }
}

function refusal(error: unknown, model: string, width: number, height: number): unknown {
  if (error instanceof InputError || classify(error) === 'resource') return error
  const why = (error as Error).message.split('\n')[0]
  return new InputError('model-refuses', `The model ${model} refuses frames of ${width}x${height}: ${why}`, {
    cause: error,
  })
}
