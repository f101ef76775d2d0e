// Measures a cancellation: how long until no batch of the job is on the queue, until its report is written, until nothing of it is
// left, and how long Redis kept anybody waiting meanwhile.   npm run check:cancel -- --batches 20000
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { Redis } from 'ioredis'
import { createClient } from '../src/client/client.ts'
import { startStack } from '../src/cli/embedded-stack.ts'
import { uploadVideo } from '../src/cli/local-files.ts'
import { connectAccount, createBlobStore } from '../src/shared/blob-store.ts'
import { layout } from '../src/shared/layout.ts'
import { makeClip } from '../test/support/clips.ts'

const { values } = parseArgs({ options: { batches: { type: 'string', default: '20000' } } })
const batches = Number(values.batches)
const dir = await mkdtemp(join(tmpdir(), 'framefleet-cancel-'))
const stack = await startStack({ dir, workers: 1, restart: true, port: 0, env: process.env })
try {
  console.log(JSON.stringify(await measure()))
} finally {
  await stack.stop()
  await rm(dir, { recursive: true, force: true })
}

async function measure() {
  const api = createClient({ url: stack.apiUrl, token: stack.token })
  const media = createBlobStore(connectAccount(stack.env['FRAMEFLEET_MEDIA_ACCOUNT'] ?? ''), 'media')
  const redis = new Redis(stack.env['FRAMEFLEET_REDIS_URL'] ?? '')
  const [waiting, active] = ['prioritized', 'active'].map((list) => `{framefleet}:batch:${list}`) as [
    string,
    string,
  ]
  const clip = await makeClip({ path: join(dir, 'clip.mp4'), frames: batches, size: '64x36', sound: false })
  const source = { url: await uploadVideo(media, clip) }
  const { id } = await api.submit({ source, model: 'passthrough', batch: { frames: 1 } })
  await until(async () => (await redis.zcard(waiting)) > batches * 0.95 && (await redis.llen(active)) > 0)

  // Every command that takes more than a millisecond.
  await redis.config('SET', 'slowlog-log-slower-than', '1000', 'slowlog-max-len', '10000')
  await redis.slowlog('RESET')
  const pings = pingUntilTold()
  const began = performance.now()
  const since = () => Math.round(performance.now() - began)
  await api.cancel(id)
  const answeredMs = since()
  await until(async () => (await redis.zcard(waiting)) + (await redis.llen(active)) === 0)
  const drainedMs = since()
  await until(async () => (await api.report(id).catch(() => undefined)) !== undefined)
  const reportedMs = since()
  await until(async () => (await left(layout.openMarks)).length === 0)
  const goneMs = since()
  const worstPingMs = await pings.stop()
  const slow = (await redis.slowlog('GET', -1)) as [id: number, at: number, micros: number][]
  const slowestCommandMs = Math.max(0, ...slow.map(([, , micros]) => micros / 1_000))
  redis.disconnect()
  const leftovers = (await left(layout.job(id))).filter((name) => !name.endsWith('.json'))
  return { batches, answeredMs, drainedMs, reportedMs, goneMs, slowestCommandMs, worstPingMs, leftovers }

  async function left(prefix: string): Promise<string[]> {
    const names: string[] = []
    for await (const { name } of media.list(prefix)) names.push(name)
    return names
  }
}

async function until(is: () => Promise<boolean>): Promise<void> {
  while (!(await is())) await pause(10)
}

/** Asks Redis all the time; answers the longest that it took. */
function pingUntilTold() {
  const redis = new Redis(stack.env['FRAMEFLEET_REDIS_URL'] ?? '')
  let told = false
  let worst = 0
  const pinging = (async () => {
    while (!told) {
      const asked = performance.now()
      await redis.ping()
      worst = Math.max(worst, performance.now() - asked)
      await pause(1)
    }
    redis.disconnect()
  })()
  return {
    async stop(): Promise<number> {
      told = true
      await pinging
      return Math.round(worst)
    },
  }
}
