import { execFile } from 'node:child_process'
import { readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startRole } from '../../src/shared/role-process.ts'
import { makeClip } from '../support/clips.ts'
import { type TestStack, startTestStack } from '../support/stack.ts'
import { tempDir } from '../support/temp-dir.ts'

const dir = tempDir()
const options = { batch: { frames: 15 } }
let stack: TestStack
let redis: Redis
let clip = ''
beforeAll(async () => {
  // Nothing is put back by itself but where a test wants it.
  stack = await startTestStack({
    workers: 2,
    env: { FRAMEFLEET_RECONCILE_SECONDS: '3600', FRAMEFLEET_JANITOR_MINUTES: '0.02' },
  })
  redis = new Redis(stack.stack.env['FRAMEFLEET_REDIS_URL'] ?? '')
  clip = await makeClip({ path: join(dir, 'clip.mp4'), frames: 360, size: '320x180' })
})
afterAll(async () => {
  redis?.disconnect()
  await stack?.stop()
})

const sha256 = async (id: string) =>
  ((await stack.api.report(id)) as { output: { sha256: string } }).output.sha256

/** Wipes Redis in the middle of a job; answers the batches that were committed by then. */
async function wipedInMidRun(id: string): Promise<string[]> {
  await stack.until(id, ({ frames }) => frames.done >= 75)
  await redis.flushall()
  return (await stack.namesUnder(`jobs/${id}/segments/`)).map((name) => /(\d+)\.mp4$/.exec(name)?.[1] ?? '')
}

/** How often each batch of a job was scored, as the workers' logs have it. */
async function scoredBatches(id: string): Promise<Map<string, number>> {
  const logs = (await readdir(join(stack.dir, 'logs'))).filter((name) => name.startsWith('worker'))
  const counts = new Map<string, number>()
  for (const log of logs) {
    for (const line of (await readFile(join(stack.dir, 'logs', log), 'utf8')).split('\n')) {
      if (!line.includes('"batch done"') || !line.includes(`"${id}.`)) continue
      const { entry, skipped } = JSON.parse(line) as { entry: string; skipped?: string }
      const batch = entry.split('.')[1] ?? ''
      if (!skipped) counts.set(batch, (counts.get(batch) ?? 0) + 1)
    }
  }
  return counts
}

/** What became of a job, and which of the batches that were committed before the wipe were scored twice. */
async function outcomeOf(id: string, committed: string[]) {
  expect(committed.length).toBeGreaterThan(2)
  const { status, frames } = await stack.ends(id)
  const scored = await scoredBatches(id)
  return {
    ...{ status, frames, sha256: await sha256(id) },
    twice: committed.filter((batch) => (scored.get(batch) ?? 0) > 1),
  }
}

let reference = ''
const asIfNothingHappened = () => ({
  ...{ status: 'succeeded', frames: { done: 360, total: 360 }, sha256: reference, twice: [] },
})

test('after a wipe `framefleet resume --all` has the job end as if nothing had happened', async () => {
  const undisturbed = await stack.submit(clip, options)
  await stack.ends(undisturbed)
  reference = await sha256(undisturbed)

  const id = await stack.submit(clip, options)
  const committed = await wipedInMidRun(id)
  expect(await framefleet('resume', '--all')).toEqual({
    ...{ resumed: 1, running: 0, ended: 0, unknown: 0, failed: 0 },
  })
  expect(await outcomeOf(id, committed)).toEqual(asIfNothingHappened())
  expect(await framefleet('resume', id)).toEqual({ id, outcome: 'ended' })
  // The mark is the last that goes, once the end can be seen.
  await expect.poll(async () => await stack.namesUnder('open/')).toEqual([])
})

test('with nobody awake a producer puts back what Redis lost', async () => {
  const id = await stack.submit(clip, options)
  const committed = await wipedInMidRun(id)
  const other = await startRole({
    name: 'producer-late',
    main: new URL('../../src/producer/main.ts', import.meta.url),
    env: { ...stack.stack.env, FRAMEFLEET_API_PORT: '0', FRAMEFLEET_RECONCILE_SECONDS: '1' },
    logFile: join(stack.dir, 'logs', 'producer-late.ndjson'),
  })
  try {
    expect(await outcomeOf(id, committed)).toEqual(asIfNothingHappened())
  } finally {
    await other.stop(10_000)
  }
})

test('a job that Redis forgot is cancelled all the same, and leaves nothing behind', async () => {
  const id = await stack.submit(clip, { model: 'relief', ...options })
  await stack.until(id, ({ frames }) => frames.done >= 30)
  await redis.flushall()
  expect((await stack.call('DELETE', `/v1/jobs/${id}`)).status).toBe(202)
  await expect
    .poll(async () => (await stack.call('GET', `/v1/jobs/${id}/report`)).status, { timeout: 60_000 })
    .toBe(200)
  expect(await stack.api.report(id)).toMatchObject({ status: 'cancelled' })
  await expect.poll(async () => await stack.namesUnder('open/')).toEqual([])
  // A worker that was at it when Redis was wiped may commit its batch yet: the janitor comes by.
  await expect
    .poll(async () => (await stack.namesUnder(`jobs/${id}/`)).filter((name) => !name.endsWith('.json')), {
      timeout: 20_000,
    })
    .toEqual([])
  expect((await stack.call('DELETE', `/v1/jobs/${id}`)).status).toBe(409)
})

test('a cancelled job runs anew by the same plan when it is asked to', async () => {
  const id = await stack.submit(clip, { model: 'relief', batch: { frames: 180 } })
  await stack.until(id, ({ frames }) => frames.done > 0)
  await stack.api.cancel(id)
  await expect
    .poll(async () => (await stack.call('GET', `/v1/jobs/${id}/report`)).status, { timeout: 60_000 })
    .toBe(200)
  expect(await framefleet('resume', id, '--again')).toEqual({ id, outcome: 'resumed' })
  expect(await stack.ends(id)).toMatchObject({ status: 'succeeded', frames: { done: 360, total: 360 } })
})

test('a job of 2,000 batches is cancelled in seconds, and Redis answers all the while', async () => {
  const long = await makeClip({ path: join(dir, 'long.mp4'), frames: 2_000, size: '64x36', sound: false })
  const id = await stack.submit(long, { batch: { frames: 1 } })
  await stack.until(id, ({ frames }) => frames.done >= 3)
  await redis.config('SET', 'slowlog-log-slower-than', '1000')
  await redis.slowlog('RESET')
  const began = performance.now()
  await stack.api.cancel(id)
  await expect
    .poll(async () => (await stack.call('GET', `/v1/jobs/${id}/report`)).status, { timeout: 30_000 })
    .toBe(200)
  expect(performance.now() - began).toBeLessThan(15_000)
  // A machine under load may take Redis off its core for a moment; one command for all batches would take far longer.
  const slow = (await redis.slowlog('GET', 1_000)) as [id: number, at: number, micros: number][]
  expect(Math.max(0, ...slow.map(([, , micros]) => micros))).toBeLessThan(200_000)
  expect(await stack.api.report(id)).toMatchObject({ status: 'cancelled', batches: { planned: 2_000 } })
  await expect.poll(async () => await stack.namesUnder('open/')).toEqual([])
  expect((await stack.namesUnder(`jobs/${id}/`)).filter((name) => !name.endsWith('.json'))).toEqual([])
})

test('resume says what it needs, and what it does not know', async () => {
  await expect(framefleet('resume')).rejects.toThrow(/say which job/)
  await expect(framefleet('resume', 'job-of-nobody')).rejects.toThrow(/There is no job job-of-nobody/)
})

/** The command line, as a user has it; answers what it prints as JSON. */
async function framefleet(...args: string[]): Promise<unknown> {
  const main = new URL('../../src/cli/main.ts', import.meta.url).pathname
  const { stdout } = await promisify(execFile)(process.execPath, [main, ...args, '--json'], {
    env: {
      ...process.env,
      FRAMEFLEET_API_URL: stack.stack.apiUrl,
      FRAMEFLEET_API_TOKEN: stack.stack.token,
    },
  })
  return JSON.parse(stdout)
}
