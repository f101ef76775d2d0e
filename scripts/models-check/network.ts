import { availableParallelism } from 'node:os'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { wrapModel } from '../../src/shared/models/wrap.ts'
import { startEngine } from '../../src/worker/engine.ts'
import { type Picture, toBytes } from './pictures.ts'
import type { Subject } from './subjects.ts'

export const threads = availableParallelism()

export type Network = {
  /** What becomes of a picture, cut to 0..1. */
  run(picture: Picture): Promise<Picture>
  /** What the runtime is given for a picture, by the names of the inputs. */
  feeds(picture: Picture): Record<string, Tensor>
  close(): Promise<void>
}

/** Loads a network as it is: floats in, floats out, nothing rounded in between. */
export async function openNetwork({ manifest, bytes, painting }: Subject): Promise<Network> {
  const session = await InferenceSession.create(bytes, { intraOpNumThreads: threads })
  const style = manifest.style?.name
  const input = manifest.input.name ?? session.inputNames.find((name) => name !== style) ?? ''
  const output = manifest.output.name ?? session.outputNames[0] ?? ''
  const feeds = (picture: Picture) => ({
    [input]: tensor(picture),
    ...(style && painting && { [style]: tensor(painting) }),
  })
  return {
    feeds,
    async run(picture) {
      const { [output]: scored } = await session.run(feeds(picture), [output])
      const [, , height = 0, width = 0] = scored?.dims ?? []
      const planes = scored?.data as Float32Array
      return { width, height, planes: planes.map((value) => Math.min(1, Math.max(0, value))) }
    },
    close: async () => await session.release(),
  }
}

const tensor = ({ width, height, planes }: Picture) => new Tensor('float32', planes, [1, 3, height, width])

const warmUp = 10
const counted = 100

/** Frames a second of the model alone, wrapped and run as a worker does it: the median of a hundred runs. */
export async function framesPerSecond(subject: Subject, picture: Picture): Promise<number> {
  const { name, manifest, bytes, painting } = subject
  const { width, height } = picture
  const style = painting && { width: painting.width, height: painting.height, pixels: toBytes(painting) }
  const model = wrapModel(bytes, manifest, { width, height, batch: 1 }, style)
  const wish = { device: 'cpu', deviceId: 0, threads } as const
  const frame = { width, height }
  const engine = await startEngine({ model, modelName: name, frame, group: 1, wish, slots: () => 1 })
  try {
    await using ring = await engine.openRing(() => {})
    ring.slots[0]?.input.set(toBytes(picture))
    const times: number[] = []
    for (let i = 0; i < warmUp + counted; i++) times.push(await ring.run(0))
    return 1_000 / median(times.slice(warmUp))
  } finally {
    await engine.close()
  }
}

const median = (values: number[]) => values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN
