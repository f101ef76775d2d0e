import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { type Client, createClient } from '../../../src/client/client.ts'
import { type Stack, startStack } from '../../../src/cli/embedded-stack.ts'
import { type Service, startRole } from '../../../src/shared/role-process.ts'
import { connectAccount, createBlobStore } from '../../../src/shared/blob-store.ts'
import { Report } from '../../../src/shared/job.ts'
import { layout } from '../../../src/shared/layout.ts'
import { type QueueNotes, openQueueNotes } from './queue-notes.ts'
import { cpuByRole } from '../../processes.ts'
import { waitVariable } from './waiting-model.ts'

/** A whole system on this machine, every part of it real but for the time that models take. */
export type FleetSystem = {
  api: Client
  notes: QueueNotes
  /** What a frame takes on the worker with this name of the registry, in seconds. */
  paceOf(worker: string): number
  /** Puts a clip in and posts a job for it; answers its id and when it was posted. */
  submit(clip: string, batch?: { frames: number }): Promise<{ id: string; postedAt: number }>
  /** Waits for a job's end. Throws unless it is what is wanted. */
  ends(id: string, wanted?: 'succeeded' | 'cancelled'): Promise<void>
  /** Scores short clips until every worker has the model loaded. */
  warm(clip: string): Promise<void>
  /** CPU seconds that all its processes have taken so far. */
  cpuSeconds(): Promise<number>
  /** Ends all that was started, and removes its folder. */
  stop(): Promise<void>
}

export type FleetOptions = {
  workers: number
  secondsPerFrame: number
  /** How many times longer the first worker takes for a frame. */
  slow?: number
  signal: AbortSignal
}

/** Started all at once, workers would keep each other from being ready in time. */
const startedAtOnce = 4
const graceMs = 15_000

export async function startFleetSystem(options: FleetOptions): Promise<FleetSystem> {
  const { workers: count, secondsPerFrame, slow = 1, signal } = options
  const dir = await mkdtemp(join(tmpdir(), 'framefleet-bench-fleet-'))
  const closers: (() => Promise<unknown>)[] = [async () => await rm(dir, { recursive: true, force: true })]
  const stop = async () => {
    for (const close of closers.splice(0).toReversed()) await close()
  }
  const pace = (i: number) => (i === 0 ? slow : 1) * secondsPerFrame
  const instance = (i: number) => `node-${i + 1}`
  try {
    const stack = await startStack({
      dir,
      workers: 0,
      env: settings(count, secondsPerFrame),
      port: 0,
      restart: false,
    })
    closers.push(stack.stop)
    const workers: Service[] = []
    closers.push(async () => await Promise.all(workers.map(async (worker) => await worker.stop(graceMs))))
    for (let from = 0; from < count; from += startedAtOnce) {
      const some = Array.from({ length: Math.min(startedAtOnce, count - from) }, (_, i) => from + i)
      const starts = some.map(async (i) => {
        const name = instance(i)
        const env = { ...stack.env, ...slowed(pace(i)), FRAMEFLEET_INSTANCE: name }
        workers.push(
          await startRole({
            name,
            main: workerMain,
            env,
            logFile: join(dir, 'logs', `${name}.ndjson`),
            signal,
          }),
        )
      })
      const failed = (await Promise.allSettled(starts)).find(({ status }) => status === 'rejected')
      if (failed?.status === 'rejected') throw failed.reason
    }
    const notes = openQueueNotes(stack.env)
    closers.push(notes.close)
    const paces = new Map(Array.from({ length: count }, (_, i) => [instance(i), pace(i)]))
    return {
      ...customer(stack, notes, count, signal),
      notes,
      stop,
      async cpuSeconds() {
        const roles = await cpuByRole([...stack.roles(), ...stack.services(), ...workers])
        return Object.values(roles).reduce((sum, seconds) => sum + seconds, 0)
      },
      paceOf: (worker) => paceIn(paces, worker),
    }
  } catch (error) {
    await stop()
    throw error
  }
}

const workerMain = new URL('../../../src/worker/main.ts', import.meta.url)

function settings(workers: number, secondsPerFrame: number): NodeJS.ProcessEnv {
  const own = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !name.startsWith('FRAMEFLEET_')),
  )
  return {
    ...own,
    FRAMEFLEET_PLAN_WORKERS: String(workers),
    // The plan follows from what is stated here, not from what runs before have taught.
    FRAMEFLEET_PLAN_FRAMES_PER_SECOND: String(1 / secondsPerFrame),
    FRAMEFLEET_DEVICE: 'cpu',
    // One model side by side with none: one frame at a time, as on a GPU.
    FRAMEFLEET_INFERENCE_THREADS: '1',
  }
}

const slowed = (seconds: number): NodeJS.ProcessEnv => ({
  NODE_OPTIONS: `--import=${new URL('waiting-model.ts', import.meta.url).href}`,
  [waitVariable]: String(seconds),
})

function paceIn(paces: Map<string, number>, worker: string): number {
  const pace = paces.get(worker.split('/')[0] ?? '')
  if (pace === undefined) throw new Error(`no worker of ours is called ${worker}`)
  return pace
}

/** Coarse: when things happened is what the queue has noted. */
const askEveryMs = 500

function customer(stack: Stack, notes: QueueNotes, workers: number, signal: AbortSignal) {
  const api = createClient({ url: stack.apiUrl, token: stack.token })
  const media = createBlobStore(connectAccount(stack.env['FRAMEFLEET_MEDIA_ACCOUNT'] ?? ''), 'media')
  const submit: FleetSystem['submit'] = async (clip, batch) => {
    const name = layout.upload(`${crypto.randomUUID()}/${basename(clip)}`)
    await media.uploadFile(name, clip)
    const postedAt = Date.now()
    const source = { url: media.url(name) }
    const { id } = await api.submit({ source, model: 'passthrough', ...(batch ? { batch } : {}) })
    return { id, postedAt }
  }
  const ends: FleetSystem['ends'] = async (id, wanted = 'succeeded') => {
    for (;;) {
      const job = await api.job(id)
      if (job.status === wanted) return
      if (['succeeded', 'failed', 'cancelled'].includes(job.status))
        throw new Error(`job ${id} ${job.status}: ${job.error?.message ?? 'no reason given'}`)
      await wait(askEveryMs, undefined, { signal })
    }
  }
  return {
    ...{ api, submit, ends },
    async warm(clip: string) {
      const had = new Set<string>()
      for (let tries = 0; tries < 20 && had.size < workers; tries++) {
        const { id } = await submit(clip, { frames: 1 })
        await ends(id)
        const { batches } = Report.parse(await api.report(id))
        for (const { worker } of await notes.spans(id, batches.planned, () => 0)) had.add(worker)
      }
      if (had.size < workers)
        throw new Error(`after twenty clips only ${had.size} of ${workers} workers have had a batch`)
    },
  }
}
