import { expect, test } from 'vitest'
import { builtinModels } from '../../src/shared/models/builtin.ts'
import { wrapModel } from '../../src/shared/models/wrap.ts'
import { type Engine, startEngine } from '../../src/worker/engine.ts'
import { lanesFor } from '../../src/worker/lanes.ts'
import { noise } from '../support/onnx-models.ts'

const frame = { width: 640, height: 360 }

/** The relief model, whose run takes long enough for something else to come in between. */
async function start(threads: number, group = 1): Promise<Engine> {
  const model = builtinModels().find(({ manifest }) => manifest.name === 'relief')
  if (!model) throw new Error('there is no relief')
  const wish = { device: 'cpu', deviceId: 0, threads } as const
  const wrapped = wrapModel(model.bytes, model.manifest, { ...frame, batch: group })
  return await startEngine({
    model: wrapped,
    modelName: 'relief',
    frame,
    group,
    wish,
    slots: (lanes) => lanes * 2,
  })
}

const pixels = (seed: number) => noise({ ...frame, batch: 1 }, seed)

async function scored(engine: Engine, input: Uint8Array): Promise<Uint8Array> {
  await using ring = await engine.openRing(() => {})
  ring.slots[0]?.input.set(input)
  await ring.run(0)
  return Uint8Array.from(ring.slots[0]?.output ?? [])
}

test.each([1, 2, 3])(
  'a ring that is opened while frames are at the model changes none of them, %i lanes',
  async (threads) => {
    const engine = await start(threads)
    try {
      expect(engine.lanes).toBe(threads)
      const wanted = await Promise.all([1, 2, 3].map(async (seed) => await scored(engine, pixels(seed))))
      await using first = await engine.openRing(() => {})
      for (const [slot, { input }] of first.slots.slice(0, 2).entries()) input.set(pixels(slot + 1))
      const runs = [first.run(0), first.run(1)]
      await using second = await engine.openRing(() => {})
      second.slots[0]?.input.set(pixels(3))
      await Promise.all([...runs, second.run(0)])
      const got = [first.slots[0]?.output, first.slots[1]?.output, second.slots[0]?.output]
      expect(
        got.map((each, i) => Buffer.compare(each ?? new Uint8Array(), wanted[i] ?? new Uint8Array())),
      ).toEqual([0, 0, 0])
    } finally {
      await engine.close()
    }
  },
)

test('the same frame gives the same bytes, alone or in a group, on one lane or on two', async () => {
  const [one, two, grouped] = [await start(1), await start(2), await start(1, 2)]
  try {
    const wanted = await scored(one, pixels(7))
    expect(Buffer.compare(await scored(two, pixels(7)), wanted)).toBe(0)
    const both = new Uint8Array([...pixels(8), ...pixels(7)])
    expect(Buffer.compare((await scored(grouped, both)).subarray(wanted.length), wanted)).toBe(0)
  } finally {
    await Promise.all([one, two, grouped].map(async (engine) => await engine.close()))
  }
})

test('rings are told of each run that begins, and used again by the next batch', async () => {
  const engine = await start(1)
  try {
    let begun = 0
    const open = async () => await engine.openRing(() => begun++)
    const first = await open()
    await Promise.all([first.run(0), first.run(1)])
    await first[Symbol.asyncDispose]()
    const second = await open()
    expect(begun).toBe(2)
    expect(second.slots[0]?.input.buffer).toBe(first.slots[0]?.input.buffer)
    await second[Symbol.asyncDispose]()
  } finally {
    await engine.close()
  }
})

test.each([
  ['one copy for each thread where there is memory', 'cpu', 4, 100, 1_000, 4],
  ['one copy where there is not', 'cpu', 4, 400, 1_000, 1],
  ['one copy on a GPU', 'cuda', 4, 1, 1_000, 1],
] as const)('%s', (_, device, threads, growth, free, lanes) => {
  expect(lanesFor({ device, threads }, growth, free)).toBe(lanes)
})
