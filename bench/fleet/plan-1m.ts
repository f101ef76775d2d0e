import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { createClient } from '../../src/client/client.ts'
import { keptSecrets, startRedis } from '../../src/cli/embedded-services.ts'
import { freePort } from '../../src/cli/services.ts'
import { type Service, startRole } from '../../src/shared/role-process.ts'
import { connectAccount, createBlobStore } from '../../src/shared/blob-store.ts'
import { createJobFiles } from '../../src/shared/job-files.ts'
import { layout } from '../../src/shared/layout.ts'
import { startMemoryStorage } from './memory-storage.ts'
import { renderFilm } from './long-film.ts'
import type { ProbeAnswer } from './redis-probe.ts'

/** How planning holds up: one job of a million frames, and a thousand small ones that come while it is planned. */
export type PlanResults = {
  /** From the request for a million frames until the last of its batches is on the queue, nothing else going on. */
  seconds: number
  frames: number
  batches: number
  /** The most memory that the producer ever had, over all of this. */
  peak_rss_mb: number
  /** What a batch takes while it waits, its share of the job's own keys included. */
  redis_bytes_per_batch: number
  /** The longest that another client waited for Redis to answer a PING, over all of this. */
  worst_redis_stall_ms: number
  /** The longest that the machine itself let the one that asks wait, in the same time: what no Redis could better. */
  worst_machine_stall_ms: number
  /** The longest single command or transaction, by Redis's own clock. */
  worst_redis_command_ms: number
  plan_bytes: number
  /** Reading such a plan, as a worker does once for each job: fetched, parsed and checked. */
  plan_read_ms: number
  /** The small jobs that come, sixteen a second, while another million frames are planned. */
  jobs: number
  /** From the moment a job was due, not from when there was room to send it: what waits behind a stall counts. */
  post_p50_ms: number
  post_p99_ms: number
  post_max_ms: number
  /** From the first request until all of them are planned. */
  jobs_planned_seconds: number
  /** Asking for the job of a million frames, meanwhile. */
  status_p99_ms: number
  status_max_ms: number
}

type Options = {
  frames?: number
  /** Frames of each batch; 50 cut a million into as many batches as a job may have. */
  batchFrames?: number
  jobs?: number
  say?: (line: string) => void
}

const jobsPerSecond = 16
const smallFrames = 100

/** Measures with a Redis, a storage and a producer of its own, all real; takes some minutes. */
export async function measurePlan(options: Options = {}): Promise<PlanResults> {
  const { frames = 1_000_000, batchFrames = 50, jobs = 1_000, say = () => {} } = options
  const dir = await mkdtemp(join(tmpdir(), 'framefleet-plan-'))
  const closing: (() => Promise<unknown>)[] = [async () => await rm(dir, { recursive: true, force: true })]
  try {
    const system = await startProducer(dir, closing)
    const { redis, api, media, probe } = system
    say(`rendering ${frames} frames ...`)
    const film = join(dir, 'film.mkv')
    await renderFilm(film, frames)
    await renderFilm(join(dir, 'small.mkv'), smallFrames)
    for (const name of ['first.mkv', 'second.mkv']) await media.uploadFile(`in/${name}`, film)
    await media.uploadFile('in/small.mkv', join(dir, 'small.mkv'))
    const submit = async (name: string, batch = {}) =>
      await api.submit({ source: { url: media.url(`in/${name}`) }, model: 'passthrough', batch })
    // Whatever is loaded at the first request is loaded.
    await system.planned(await submit('small.mkv'))

    say('a million frames ...')
    await probe.since()
    await redis.call('LATENCY', 'RESET')
    const before = await usedMemory(redis)
    const asked = performance.now()
    const first = await submit('first.mkv', { frames: batchFrames })
    await system.planned(first)
    const seconds = (performance.now() - asked) / 1_000
    const after = await usedMemory(redis)
    const batches = Number(await redis.hget(`${system.prefix}:job:${first.id}`, 'batchesTotal'))
    const worst = await probe.since()
    const { plan_bytes, plan_read_ms } = await readPlan(media, first.id)

    say(`${jobs} jobs, and a million frames beside them ...`)
    const statusMs: number[] = []
    const second = await submit('second.mkv', { frames: batchFrames })
    const done = new AbortController()
    const watching = watch(async () => await api.job(second.id), statusMs, done.signal)
    const postMs: number[] = []
    const came = performance.now()
    const small = await Promise.all(
      Array.from({ length: jobs }, async (_, i) => {
        // By the clock, however many are still unanswered.
        const due = came + (i * 1_000) / jobsPerSecond
        await pause(Math.max(0, due - performance.now()))
        const job = await submit('small.mkv')
        postMs.push(performance.now() - due)
        return job
      }),
    )
    say(`all came within ${((performance.now() - came) / 1_000).toFixed(1)} s; planning them ...`)
    for (const job of [second, ...small]) await system.planned(job)
    const jobsSeconds = (performance.now() - came) / 1_000
    done.abort()
    await watching
    const worstOfMany = await probe.since()
    return {
      ...{ seconds: round(seconds), frames, batches },
      peak_rss_mb: Math.round(await peakOf(system.producer)),
      redis_bytes_per_batch: Math.round((after - before) / batches),
      worst_redis_stall_ms: round(Math.max(worst.worstMs, worstOfMany.worstMs)),
      worst_machine_stall_ms: round(Math.max(worst.machineMs, worstOfMany.machineMs)),
      worst_redis_command_ms: await worstCommand(redis, say),
      ...{ plan_bytes, plan_read_ms, jobs },
      ...{ post_p50_ms: at(postMs, 0.5), post_p99_ms: at(postMs, 0.99), post_max_ms: at(postMs, 1) },
      jobs_planned_seconds: round(jobsSeconds),
      ...{ status_p99_ms: at(statusMs, 0.99), status_max_ms: at(statusMs, 1) },
    }
  } finally {
    for (const close of closing.toReversed()) await close()
  }
}

async function startProducer(dir: string, closing: (() => Promise<unknown>)[]) {
  const logs = join(dir, 'logs')
  await mkdir(logs, { recursive: true })
  const secrets = await keptSecrets(dir)
  const keep = async <T extends { service?: Service }>(starting: Promise<T>) => {
    const started = await starting
    closing.push(async () => await started.service?.stop(10_000))
    return started
  }
  const redisService = await keep(startRedis(dir, secrets, {}))
  const storage = await keep(startMemoryStorage(dir, secrets))
  const port = await freePort()
  const env: NodeJS.ProcessEnv = {
    ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('FRAMEFLEET_'))),
    ...redisService.env,
    ...storage.env,
    FRAMEFLEET_API_PORT: String(port),
    FRAMEFLEET_API_TOKENS: secrets.apiToken,
    FRAMEFLEET_PRODUCER_PORT: '0',
    FRAMEFLEET_CACHE_DIR: join(dir, 'cache'),
    FRAMEFLEET_SCRATCH_DIR: join(dir, 'scratch'),
  }
  const logFile = join(logs, 'producer.ndjson')
  const main = new URL('../../src/producer/main.ts', import.meta.url)
  const producer = await startRole({ name: 'producer', main, env, logFile })
  closing.push(async () => await producer.stop(10_000))

  const url = env['FRAMEFLEET_REDIS_URL'] ?? ''
  const redis = new Redis(url)
  closing.push(async () => redis.disconnect())
  await redis.config('SET', 'latency-monitor-threshold', '1')
  await redis.config('SET', 'slowlog-log-slower-than', '10000')
  const child = fork(new URL('redis-probe.ts', import.meta.url), { env: { ...env, PROBED_REDIS: url } })
  closing.push(async () => child.kill())
  const prefix = '{framefleet}'
  const api = createClient({ url: `http://127.0.0.1:${port}`, token: secrets.apiToken })
  return {
    ...{ prefix, redis, api, producer: producer.process, probe: { since: async () => await ask(child) } },
    media: createBlobStore(connectAccount(env['FRAMEFLEET_MEDIA_ACCOUNT'] ?? ''), 'media'),
    /** Waits until the batches of a job are all on their queue. */
    async planned({ id }: { id: string }): Promise<void> {
      const split = `${prefix}:split:${id}.split`
      while ((await redis.hexists(split, 'finishedOn')) === 0) {
        const { status, error } = await api.job(id)
        if (status === 'failed') throw new Error(`planning failed: ${error?.message}`)
        await pause(100)
      }
    },
  }
}

async function ask(probe: ChildProcess): Promise<ProbeAnswer> {
  const answer = once(probe, 'message')
  probe.send('since?')
  const [said] = (await answer) as [ProbeAnswer]
  return said
}

/** Does a thing over and over, and notes how long it took each time. */
async function watch(look: () => Promise<unknown>, ms: number[], signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const from = performance.now()
    await look()
    ms.push(performance.now() - from)
    await pause(50, undefined, { signal }).catch(() => {})
  }
}

async function usedMemory(redis: Redis): Promise<number> {
  return Number(/used_memory:(\d+)/.exec(await redis.info('memory'))?.[1])
}

/** By Redis's own clock, in ms; what took longer than 10 ms is told. */
async function worstCommand(redis: Redis, say: (line: string) => void): Promise<number> {
  const slow = (await redis.call('SLOWLOG', 'GET', 20)) as [number, number, number, string[]][]
  for (const [, , micros, args] of slow) say(`slow: ${micros / 1_000} ms ${args.join(' ').slice(0, 160)}`)
  const events = (await redis.call('LATENCY', 'LATEST')) as [string, number, number, number][]
  for (const [event, , , most] of events) say(`longest ${event}: ${most} ms`)
  return Math.max(0, ...events.filter(([event]) => event.endsWith('command')).map(([, , , most]) => most))
}

async function readPlan(media: ReturnType<typeof createBlobStore>, id: string) {
  const from = performance.now()
  await createJobFiles(media).plan(id)
  const plan_read_ms = Math.round(performance.now() - from)
  return { plan_read_ms, plan_bytes: (await media.head(layout.plan(id)))?.bytes ?? 0 }
}

async function peakOf({ pid }: ChildProcess): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return Number(/VmHWM:\s+(\d+)/.exec(status)?.[1]) / 1024
}

const round = (value: number) => Math.round(value * 10) / 10
const at = (ms: number[], share: number) =>
  round(ms.toSorted((a, b) => a - b)[Math.ceil(ms.length * share) - 1] ?? Number.NaN)

if (import.meta.main) {
  const results = await measurePlan({ say: (line) => void process.stderr.write(`plan: ${line}\n`) })
  process.stdout.write(`${JSON.stringify({ plan_1m_frames: results }, undefined, 2)}\n`)
}
