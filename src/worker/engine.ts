import { classify } from '../shared/classify.ts'
import { InputError, PoisonError } from '../shared/errors.ts'
import type { Size } from '../shared/models/fit.ts'
import type { Device, DeviceWish } from '../shared/models/device.ts'
import type { ScoreTensor } from './inference-thread.ts'
import { loadLanes } from './lanes.ts'
import { createTurns } from './turns.ts'

/** A model, loaded for one picture size, and what it was found to be. */
export type Engine = {
  output: Size
  device: Device
  /** Why the GPU was not taken, where there is one. */
  fellBack?: string
  /** Frames in each slot: they are scored in one run. */
  group: number
  /** Milliseconds of one run, measured when the model was loaded. */
  runMs: number
  /** Runs that go on side by side, each on threads of its own. */
  lanes: number
  /** A ring of its own for each batch that is scored; the oldest ring's frames go first. `onRun` is told of each run that begins. */
  openRing(onRun: () => void): Promise<Ring>
  /** Set once the model's thread has died or hung: this engine is of no more use. */
  broken(): boolean
  close(): Promise<void>
}

/**
 * The frames a batch is scored in. A slot's way:
 *
 *   free ──take──► filling ──run──► scoring ──► scored ──release──► free
 *
 * Slots are shared memory, made once; whoever is slower makes the others wait, so memory never grows.
 */
export type Ring = {
  slots: { input: Uint8Array; output: Uint8Array }[]
  /** Scores a slot; milliseconds of the model alone. With several lanes, runs may end in another order. */
  run(slot: number): Promise<number>
  /** The same for a model that makes no image: its outputs, of all frames of the slot. */
  read(slot: number): Promise<{ ms: number; tensors: ScoreTensor[] }>
  /** Gives the slots back, once nothing is written into them any more. */
  [Symbol.asyncDispose](): Promise<void>
}

type EngineJob = {
  /** Wrapped: uint8 NHWC in and out, `group` frames a run. */
  model: Uint8Array
  modelName: string
  frame: Size
  group: number
  wish: DeviceWish
  /** Slots in a ring: some being filled and emptied, and two for each lane. */
  slots(lanes: number): number
}

/** Loads a wrapped model. Throws InputError when the runtime refuses the model or the size. */
export async function startEngine(job: EngineJob): Promise<Engine> {
  const refusal = refusalOf(job)
  try {
    const lanes = await loadLanes(job.model, job.wish)
    const { outputDims, inputDims, device, fellBack, runMs } = lanes.facts
    const turns = createTurns(
      async ({ ring, slot, onRun }: { ring: number; slot: number; onRun(): void }) => {
        onRun()
        return await lanes.run({ run: slot, ring })
      },
      lanes.count + 1,
    )
    const count = job.slots(lanes.count)
    const idle: { ring: number; slots: Ring['slots'] }[] = []
    let made = 0

    async function makeRing() {
      const ring = made++
      const shared = Array.from({ length: count }, () => ({
        input: new SharedArrayBuffer(volume(inputDims)),
        output: new SharedArrayBuffer(volume(outputDims)),
      }))
      await lanes.tellAll({ ring, slots: shared, inputDims, outputDims })
      const slots = shared.map(({ input, output }) => ({
        input: new Uint8Array(input),
        output: new Uint8Array(output),
      }))
      return { ring, slots }
    }

    const [, height = 0, width = 0] = outputDims
    return {
      ...{ output: { width, height }, device, fellBack, runMs, lanes: lanes.count, group: job.group },
      async openRing(onRun) {
        const kept = idle.pop() ?? (await makeRing())
        const turn = turns.join()
        const run = async (slot: number) =>
          await turn.take({ ring: kept.ring, slot, onRun }).catch((error: unknown) => {
            throw failed(error)
          })
        return {
          slots: kept.slots,
          run: async (slot) => (await run(slot)).ms,
          read: async (slot) => {
            const { ms, tensors = [] } = await run(slot)
            return { ms, tensors }
          },
          async [Symbol.asyncDispose]() {
            await turn.leave()
            idle.push(kept)
          },
        }
      },
      broken: lanes.broken,
      close: lanes.close,
    }
  } catch (error) {
    throw refusal(error)
  }
}

/** The model was loaded and has run: what it fails on now is in the frames. */
function failed(error: unknown): unknown {
  if (classify(error) !== 'unknown') return error
  const [why] = (error as Error).message.split('\n')
  return new PoisonError(`the model fails on its frames: ${why}`, { cause: error })
}

const volume = (dims: number[]) => dims.reduce((a, b) => a * b, 1)

const refusalOf =
  ({ modelName, frame: { width, height } }: EngineJob) =>
  (error: unknown): unknown => {
    if (error instanceof InputError || ['resource', 'lost', 'poison'].includes(classify(error))) return error
    const why = (error as Error).message.split('\n')[0]
    const text = `The model ${modelName} refuses frames of ${width}x${height}: ${why}`
    return new InputError('model-refuses', text, { cause: error })
  }
