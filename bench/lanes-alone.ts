import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { createFileCache } from '../src/shared/file-cache.ts'
import { createEngineRack } from '../src/worker/engine-rack.ts'
import { type JobRef, openJob } from './finished-job.ts'
import { wholeMachine } from './machine.ts'
import { type ModelRun, atLeastMs, atLeastRuns, firstFrames } from './model-alone.ts'

/**
 * The model alone, as the engine runs it: as many copies side by side as it loads, none ever without a frame that waits
 * for it. Two runs on one thread each may well take less than two runs, one after the other, on two threads.
 */
export async function measureLanes(job: JobRef): Promise<ModelRun> {
  const { spec, plan, media, models } = await openJob(job)
  const dir = await mkdtemp(join(tmpdir(), 'framefleet-bench-lanes-'))
  try {
    const cache = createFileCache({ dir: join(dir, 'cache'), maxBytes: 50e9 })
    const log = pino({ level: 'silent' })
    const rack = createEngineRack({ models, media, cache, log, wish: wholeMachine() })
    await using mounted = await rack.open(spec, plan.video, { dir, onScoring: () => {}, small: false })
    const { engine, size } = mounted
    const { group } = engine
    await using ring = await engine.openRing(() => {})
    const frames = await firstFrames({ ...job, group, taken: size })
    for (const { input } of ring.slots) input.set(frames)
    await Promise.all(ring.slots.map(async (_, slot) => await ring.run(slot)))

    const cpu = process.cpuUsage()
    const began = performance.now()
    let runs = 0
    const goOn = () => runs < atLeastRuns || performance.now() - began < atLeastMs
    const drive = async (slot: number) => {
      while (goOn()) {
        await ring.run(slot)
        runs++
      }
    }
    await Promise.all(ring.slots.map(async (_, slot) => await drive(slot)))
    const seconds = (performance.now() - began) / 1_000
    const { user, system } = process.cpuUsage(cpu)
    return { fps: (runs * group) / seconds, cpuSecondsPerFrame: (user + system) / 1e6 / (runs * group) }
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
}
