import { mkdtemp, rm } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { createFileCache } from '../src/shared/file-cache.ts'
import { timesOf } from '../src/shared/frame-times.ts'
import type { Size } from '../src/shared/models/fit.ts'
import { decoderThreads } from '../src/worker/decoder-threads.ts'
import { encodeSegment } from '../src/worker/encode-segment.ts'
import { createEngineRack } from '../src/worker/engine-rack.ts'
import { pictureSink } from '../src/worker/picture-sink.ts'
import { scoreFrames } from '../src/worker/score-frames.ts'
import { type JobRef, openJob } from './finished-job.ts'
import { wholeMachine } from './machine.ts'
import { cpuOfChildren } from './processes.ts'

export type EngineRun = {
  fps: number
  peakMb: number
  /** CPU seconds a frame: of this process (the model and the pipes), and of the two ffmpeg beside it. */
  cpu: { own: number; ffmpeg: number }
  device: string
  /** Frames the model takes in one run, and their size. */
  group: number
  taken: Size
}

/**
 * Decode, model and encode of the whole file in one go, as the engine does it for a batch: its own code, all cores, the
 * model loaded beforehand; no queue, no storage. The scored video is left at `output`.
 */
export async function measureEngine({ output, ...job }: JobRef & { output: string }): Promise<EngineRun> {
  const { spec, plan, media, models } = await openJob(job)
  const dir = await mkdtemp(join(tmpdir(), 'framefleet-bench-engine-'))
  try {
    const cache = createFileCache({ dir: join(dir, 'cache'), maxBytes: 50e9 })
    const log = pino({ level: 'silent' })
    const rack = createEngineRack({ models, media, cache, log, wish: wholeMachine() })
    await using mounted = await rack.open(spec, plan.video, { dir, onScoring: () => {}, small: false })
    const { engine, size, picture } = mounted
    await using ring = await engine.openRing(() => {})
    const { group, device } = engine
    const batch = { first: 0, count: plan.frames }
    const { signal } = new AbortController()

    const [cpu, children] = [process.cpuUsage(), await cpuOfChildren()]
    const began = performance.now()
    const times = timesOf(plan.times, 0, plan.frames)
    await scoreFrames({
      ...{ path: job.clip, plan, ranges: [batch], batch, picture: size, seek: true, ring, group, signal },
      threads: decoderThreads(device, availableParallelism()),
      sink: pictureSink({
        ...{ engine, ring, decoded: size },
        encoder: encodeSegment({ plan, times, scored: engine.output, picture, path: output, signal }),
      }),
      onFrame: () => {},
      through: new Set(),
      onDecoded: () => {},
    })
    const seconds = (performance.now() - began) / 1_000
    const { user, system } = process.cpuUsage(cpu)
    return {
      ...{ group, device, taken: { width: size.width, height: size.height } },
      fps: plan.frames / seconds,
      peakMb: process.resourceUsage().maxRSS / 1024,
      cpu: {
        own: (user + system) / 1e6 / plan.frames,
        ffmpeg: ((await cpuOfChildren()) - children) / plan.frames,
      },
    }
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
}
