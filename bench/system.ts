import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { createClient } from '../src/client/client.ts'
import { type Stack, startStack } from '../src/cli/embedded-stack.ts'
import { uploadModel } from '../src/cli/local-files.ts'
import type { ModelFile } from '../src/cli/model-file.ts'
import { type BlobStore, connectAccount, createBlobStore } from '../src/shared/blob-store.ts'
import { Report } from '../src/shared/job.ts'
import { layout } from '../src/shared/layout.ts'
import { cpuByRole, watchMemory } from './processes.ts'
import { type QueueTimes, readQueueTimes } from './queue-times.ts'
import { type StorageUse, meterStorage } from './storage-use.ts'

/** A model by its name, or a file that every new stack is given. */
export type ModelChoice = string | ModelFile

/** One job. */
type Scored = {
  jobId: string
  /** When it was asked for, in ms of the clock. */
  askedAt: number
  /** From the request to the state `succeeded`. */
  seconds: number
  frames: number
  sha256: string
}

/** One job, with all that can be told of it without disturbing it. */
export type SystemRun = Scored & {
  /** When things happened, in seconds after the request. */
  at: { planned: number; firstBatch: number; firstSegment: number; lastSegment: number; stitch: number }
  /** Milliseconds of the stitch and, summed over all batches, of scoring; phases of a batch overlap. */
  stitchMs: Record<string, number>
  batchMs: Record<string, number>
  batches: number
  /** CPU seconds by role, all of the stack's processes. */
  cpu: Record<string, number>
  storage: StorageUse
}

export type System = {
  stack: Stack
  score(clip: string): Promise<Scored>
  run(clip: string): Promise<SystemRun>
  /** Scores a short clip until every worker has the model loaded for its size. */
  warm(clip: string): Promise<void>
  /** Peak memory in MB by role, until the end. */
  stop(): Promise<Record<string, number>>
}

/** Starts a whole system with a folder of its own, and puts the model in. */
export async function startSystem(model: ModelChoice, workers: number, signal: AbortSignal): Promise<System> {
  const dir = await mkdtemp(join(tmpdir(), 'framefleet-bench-'))
  const remove = async () => await rm(dir, { recursive: true, force: true })
  const env = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^FRAMEFLEET_(?!DEVICE)/.test(name)),
  )
  // Every round cuts the clip alike, whatever was measured before: its bytes are compared.
  env['FRAMEFLEET_PLAN_FRAMES_PER_SECOND'] = 'unknown'
  const stack = await startStack({ dir, workers, env, port: 0, restart: false }).catch(async (error) => {
    await remove()
    throw error
  })
  const processes = () => [...stack.roles(), ...stack.services()]
  const memory = watchMemory(processes)
  const stop = async () => {
    const peaks = await memory.stop()
    await stack.stop()
    await remove()
    return peaks
  }
  try {
    const name = await nameOf(model, stack.env)
    const media = createBlobStore(connectAccount(stack.env['FRAMEFLEET_MEDIA_ACCOUNT'] ?? ''), 'media')
    const submit = async (clip: string, batch = {}) =>
      await scoreClip({ stack, media, clip, dir, signal }, { model: name, batch })
    return {
      ...{ stack, stop },
      async score(clip) {
        return (await submit(clip)).scored
      },
      async warm(clip) {
        for (let tries = 0; tries < 10; tries++) {
          const { report } = await submit(clip, { frames: 10 })
          const { batches } = await readQueueTimes(stack.env, report.jobId, report.batches.planned)
          if (new Set(batches.map(({ worker }) => worker)).size >= workers) return
        }
        throw new Error(`after ten clips not all ${workers} workers have had a batch`)
      },
      async run(clip) {
        const before = await cpuByRole(processes())
        const { scored, report, storage } = await submit(clip)
        const cpu = await cpuByRole(processes())
        const times = await readQueueTimes(stack.env, scored.jobId, report.batches.planned)
        for (const role of Object.keys(cpu)) cpu[role] = (cpu[role] ?? 0) - (before[role] ?? 0)
        const inside = describe(scored, times)
        return { ...scored, ...inside, stitchMs: report.ms, cpu, storage }
      },
    }
  } catch (error) {
    await stop()
    throw error
  }
}

async function nameOf(model: ModelChoice, env: NodeJS.ProcessEnv): Promise<string> {
  if (typeof model === 'string') return model
  const account = { systemAccount: env['FRAMEFLEET_SYSTEM_ACCOUNT'], systemContainer: 'system' }
  return await uploadModel(account, model)
}

type Work = { stack: Stack; media: BlobStore; clip: string; dir: string; signal: AbortSignal }

/** Coarse: the answer itself says to the millisecond when the job ended, and asking is work for the producer. */
const askEveryMs = 500

async function scoreClip(
  { stack, media, clip, dir, signal }: Work,
  request: { model: string; batch: object },
): Promise<{ scored: Scored; report: Report; storage: StorageUse }> {
  const api = createClient({ url: stack.apiUrl, token: stack.token })
  // Under a new name every time: no worker has it in its cache.
  const name = layout.upload(`${randomUUID()}/${basename(clip)}`)
  await media.uploadFile(name, clip)
  // What we ask of it ourselves, before and after, is not counted.
  const storage = await meterStorage(dir)
  const askedAt = Date.now()
  const { id } = await api.submit({ source: { url: media.url(name) }, ...request })
  for (;;) {
    const job = await api.job(id)
    if (job.status === 'succeeded') {
      const used = await storage.read()
      const report = Report.parse(await api.report(id))
      const seconds = (Date.parse(job.endedAt ?? '') - askedAt) / 1_000
      const sha256 = report.output?.sha256 ?? ''
      return { scored: { jobId: id, askedAt, seconds, frames: report.frames, sha256 }, report, storage: used }
    }
    if (['failed', 'cancelled'].includes(job.status)) {
      throw new Error(`the job ${job.status}: ${job.error?.message ?? 'no reason given'}`)
    }
    await wait(askEveryMs, undefined, { signal })
  }
}

function describe({ askedAt }: Scored, { split, batches, stitch }: QueueTimes) {
  const after = (time: number) => (time - askedAt) / 1_000
  const batchMs: Record<string, number> = {}
  for (const { ms } of batches) {
    for (const [phase, value] of Object.entries(ms)) batchMs[phase] = (batchMs[phase] ?? 0) + value
  }
  return {
    at: {
      planned: after(split.to),
      firstBatch: after(Math.min(...batches.map(({ from }) => from))),
      firstSegment: after(Math.min(...batches.map(({ to }) => to))),
      lastSegment: after(Math.max(...batches.map(({ to }) => to))),
      stitch: after(stitch.from),
    },
    batchMs,
    batches: batches.length,
  }
}
