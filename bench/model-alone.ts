import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Tensor } from 'onnxruntime-node'
import { createFileCache } from '../src/shared/file-cache.ts'
import type { Size } from '../src/shared/models/fit.ts'
import { openSession } from '../src/shared/models/session.ts'
import { readStyle } from '../src/shared/models/style-image.ts'
import { wrapModel } from '../src/shared/models/wrap.ts'
import { decodeRange } from '../src/worker/decode-range.ts'
import { type JobRef, openJob } from './finished-job.ts'
import { wholeMachine } from './machine.ts'

export type ModelRun = { fps: number; cpuSecondsPerFrame: number }

/** `group` and `taken`: the frames of one run and their size, as the engine has them. */
type ModelJob = JobRef & { group: number; taken: Size }

/** Long enough for a steady rate; short clips are gone through more than once. */
export const atLeastMs = 10_000
export const atLeastRuns = 20

/**
 * `session.run` in a loop on frames of the clip, one after the other, with nothing else: one session of the wrapped
 * model, with the worker's settings, on all cores. CPU time is that of all its threads.
 */
export async function measureModel(job: ModelJob): Promise<ModelRun> {
  const run = await loadModel(job)
  for (let i = 0; i < 3; i++) await run()

  const cpu = process.cpuUsage()
  const began = performance.now()
  let runs = 0
  while (runs < atLeastRuns || performance.now() - began < atLeastMs) {
    await run()
    runs++
  }
  const frames = runs * job.group
  const seconds = (performance.now() - began) / 1_000
  const { user, system } = process.cpuUsage(cpu)
  return { fps: frames / seconds, cpuSecondsPerFrame: (user + system) / 1e6 / frames }
}

async function loadModel(job: ModelJob): Promise<() => Promise<unknown>> {
  const { spec, models } = await openJob(job)
  const dir = await mkdtemp(join(tmpdir(), 'framefleet-bench-model-'))
  try {
    const cache = createFileCache({ dir: join(dir, 'cache'), maxBytes: 50e9 })
    const { manifest, bytes } = await models.fetch(spec.model, cache, dir)
    const style = manifest.style?.image ? await readStyle(await models.style(manifest)) : undefined
    const wrapped = wrapModel(bytes, manifest, { ...job.taken, batch: job.group }, style)
    const { session } = await openSession(wrapped, wholeMachine())
    const [inputName = ''] = session.inputNames
    const [outputName = ''] = session.outputNames
    const input = new Tensor('uint8', await firstFrames(job), [
      job.group,
      job.taken.height,
      job.taken.width,
      3,
    ])
    const { [outputName]: first } = await session.run({ [inputName]: input })
    // Written in place, as the worker has it: no output is allocated for each run.
    const dims = [...(first?.dims ?? [])]
    const output = new Tensor('uint8', new Uint8Array(dims.reduce((a, b) => a * b, 1)), dims)
    return async () => await session.run({ [inputName]: input }, { [outputName]: output })
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
}

/** As many frames from the start of the clip as the model takes in one run, one behind the other. */
export async function firstFrames({ group, taken, ...job }: ModelJob): Promise<Uint8Array> {
  const { plan } = await openJob(job)
  const count = Math.min(group, plan.frames)
  const bytes = taken.width * taken.height * 3
  const frames = new Uint8Array(bytes * group)
  let next = 0
  await decodeRange(
    {
      ...{ path: job.clip, plan, range: { first: 0, count }, picture: taken },
      signal: new AbortController().signal,
    },
    async () => await Promise.resolve(frames.subarray(bytes * next, bytes * ++next)),
    () => {},
  )
  return frames
}
