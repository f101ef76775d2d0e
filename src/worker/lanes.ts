import { freemem } from 'node:os'
import type { DeviceWish } from '../shared/models/device.ts'
import type { FromThread, ScoreTensor, ToThread } from './inference-thread.ts'
import { type ModelThread, startModelThread } from './model-thread.ts'

type Loaded = Extract<FromThread, { outputDims: number[] }>

type Ran = { ms: number; tensors?: ScoreTensor[] }

/** A second copy of the model may take this much of the memory that is free. */
const shareOfMemory = 0.5

/**
 * Loads a model as often as it can be run side by side. On a processor that is once for each thread, each copy on one thread:
 * a run on two threads spends a sixth of its time with one waiting for the other, two runs on one thread each
 * spend none. Where there is no memory for that, and on a GPU, it is loaded once. Throws the runtime's own error.
 */
export async function loadLanes(model: Uint8Array, wish: DeviceWish) {
  const before = process.memoryUsage.rss()
  const first = await loadOne(model, { ...wish, threads: 1 })
  const growth = Math.max(process.memoryUsage.rss() - before, model.length)
  const count = lanesFor({ ...wish, device: first.facts.device }, growth, freemem())
  if (count === 1 && wish.threads > 1 && first.facts.device === 'cpu') {
    await first.thread.close()
    return laneSet([await loadOne(model, wish)])
  }
  const others = Array.from({ length: count - 1 }, async () => await loadOne(model, { ...wish, threads: 1 }))
  return laneSet([first, ...(await Promise.all(others))])
}

/** How many copies of a model to run side by side, when the first took `growth` bytes and `free` are left. */
export function lanesFor(
  { device, threads }: Pick<DeviceWish, 'device' | 'threads'>,
  growth: number,
  free: number,
): number {
  return device === 'cpu' && (threads - 1) * growth <= free * shareOfMemory ? threads : 1
}

async function loadOne(model: Uint8Array, wish: DeviceWish): Promise<{ thread: ModelThread; facts: Loaded }> {
  const thread = startModelThread()
  try {
    const facts = await thread.ask({ load: { model, wish } })
    if (!('outputDims' in facts)) throw new Error('the inference thread gave no sizes')
    return { thread, facts }
  } catch (error) {
    await thread.close()
    throw error
  }
}

function laneSet(loaded: { thread: ModelThread; facts: Loaded }[]) {
  const lanes = loaded.map(({ thread, facts }) => ({ thread, facts, busy: 0 }))
  const [{ facts }] = lanes as [(typeof lanes)[0]]
  return {
    facts,
    count: lanes.length,
    /** Runs a slot on the lane that has least to do; milliseconds of the model alone, and its outputs where they are no image. */
    async run(message: Extract<ToThread, { run: number }>): Promise<Ran> {
      const least = Math.min(...lanes.map(({ busy }) => busy))
      const lane = lanes.find(({ busy }) => busy === least) ?? lanes[0]
      if (!lane) return { ms: 0 }
      lane.busy += 1
      try {
        const answer = await lane.thread.ask(message)
        return 'done' in answer ? answer : { ms: 0 }
      } finally {
        lane.busy -= 1
      }
    },
    async tellAll(message: ToThread): Promise<void> {
      await Promise.all(lanes.map(async ({ thread }) => await thread.ask(message)))
    },
    broken: () => lanes.some(({ thread }) => thread.broken()),
    async close(): Promise<void> {
      await Promise.all(lanes.map(async ({ thread }) => await thread.close()))
    },
  }
}
