import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { childPids } from '../../scripts/child-pids.ts'
import { freePort } from '../../src/cli/services.ts'
import { startRole } from '../../src/shared/role-process.ts'
import { makeClip } from '../support/clips.ts'
import { type CollectedSpan, startCollector } from '../support/collector.ts'
import { type TestStack, startTestStack } from '../support/stack.ts'
import { tempDir } from '../support/temp-dir.ts'
import { metricsOfDashboard, metricsOfRules } from '../support/watched.ts'

const dir = tempDir()
const roles = ['PRODUCER', 'WORKER', 'STITCHER', 'AUTOSCALER']
const ports: Record<string, string> = {}
let collector: Awaited<ReturnType<typeof startCollector>>
let stack: TestStack
let redis: Redis
let clip = ''

beforeAll(async () => {
  collector = await startCollector()
  for (const role of roles) ports[`FRAMEFLEET_${role}_PORT`] = String(await freePort())
  stack = await startTestStack({
    workers: 1,
    env: {
      ...ports,
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
      FRAMEFLEET_LOG_SHIPPING_SECONDS: '0.2',
      FRAMEFLEET_RECONCILE_SECONDS: '1',
    },
  })
  redis = new Redis(stack.stack.env['FRAMEFLEET_REDIS_URL'] ?? '')
  clip = await makeClip({ path: join(dir, 'clip.mp4'), frames: 240, size: '320x180' })
})
afterAll(async () => {
  redis?.disconnect()
  await stack?.stop()
  await collector?.close()
})

/** Others may use this machine as well. */
const patient = { timeout: 30_000 }

const ofTrace = (trace: string) => collector.spans.filter(({ traceId }) => traceId === trace)
const named = (spans: CollectedSpan[], name: string) => spans.filter((span) => span.name === name)
/** The spans of a job, once so many of each are there: each process sends its own when it likes. */
async function traceOf(id: string, wanted: Record<string, number>): Promise<CollectedSpan[]> {
  const spans = () =>
    ofTrace(collector.spans.find(({ attributes }) => attributes['framefleet.job'] === id)?.traceId ?? '')
  await expect
    .poll(
      () => Object.entries(wanted).filter(([name, least]) => named(spans(), name).length < least),
      patient,
    )
    .toEqual([])
  return spans()
}
type BatchesView = { batches: { state: string }[] }
const batchesOf = (spans: CollectedSpan[]) =>
  new Set(named(spans, 'batch').map(({ attributes }) => attributes['framefleet.entry']))
async function linesOf(id: string): Promise<Record<string, unknown>[]> {
  const answer = await stack.call('GET', `/v1/jobs/${id}/logs`)
  expect(answer.status).toBe(200)
  const text = (await answer.text()).trim()
  return text === '' ? [] : text.split('\n').map((line) => JSON.parse(line) as Record<string, unknown>)
}

test('a job is one trace from the request to its publication, and part of the trace it was asked for in', async () => {
  const url = await stack.upload(clip)
  const mine = { traceId: 'c0ffee00c0ffee00c0ffee00c0ffee00', spanId: 'badc0de0badc0de0' }
  const answer = await stack.call('POST', '/v1/jobs', {
    headers: { 'content-type': 'application/json', traceparent: `00-${mine.traceId}-${mine.spanId}-01` },
    body: JSON.stringify({ source: { url }, model: 'passthrough', batch: { frames: 60 } }),
  })
  const { id } = (await answer.json()) as { id: string }
  expect(await stack.ends(id)).toMatchObject({ status: 'succeeded' })
  const spans = await traceOf(id, { accept: 1, split: 1, batch: 4, stitch: 1, upload: 4, publish: 1 })
  const [accept] = named(spans, 'accept')
  expect(accept).toMatchObject({ ...{ traceId: mine.traceId, parent: mine.spanId }, failed: false })
  const under = (parent: CollectedSpan | undefined) =>
    spans.filter((span) => span.parent === parent?.spanId).map(({ name }) => name)
  expect(under(accept).toSorted()).toEqual(['batch', 'batch', 'batch', 'batch', 'split', 'stitch'])
  for (const batch of named(spans, 'batch')) {
    expect(batch).toMatchObject({ service: 'framefleet-worker', failed: false })
    expect(under(batch)).toEqual(['fetch', 'score', 'upload'])
    // Its parts lie within it, as far as clocks of whole milliseconds tell.
    for (const part of spans.filter(({ parent }) => parent === batch.spanId)) {
      expect(part.from).toBeGreaterThan(batch.from - 0.01)
      expect(part.to).toBeLessThan(batch.to + 0.01)
    }
  }
  const [stitch] = named(spans, 'stitch')
  expect(under(stitch)).toEqual(['fetch', 'join', 'publish'])
  // The last batch's report may come before the engine's answer does, but nothing is joined before all have begun.
  expect(stitch?.from).toBeGreaterThan(Math.max(...named(spans, 'split').map(({ from }) => from)))
})

/**
 * Kills the engine of a worker until a batch has failed by it: one that dies between two batches fails none, and a batch that it was
 * done with is still uploaded.
 */
async function killInMidBatch(worker: number, id: string): Promise<void> {
  const log = async (msg: string) => {
    const lines = (await readFile(join(stack.dir, 'logs', 'worker-1.ndjson'), 'utf8')).split('\n')
    return lines.filter((line) => line.includes(`"pid":${worker},`) && line.includes(`"msg":"${msg}"`)).length
  }
  for (;;) {
    const before = await log('batch done')
    for (const engine of await childPids(worker)) process.kill(engine, 'SIGKILL')
    await expect
      .poll(async () => (await log('batch failed')) > 0 || (await log('batch done')) > before + 1, patient)
      .toBe(true)
    if ((await log('batch failed')) > 0) return
    expect(await stack.api.job(id)).toMatchObject({ endedAt: null })
  }
}

test('a job goes on in its trace after a try that failed, a worker that was killed and a Redis that forgot all; what was said is there', async () => {
  const film = await makeClip({ path: join(dir, 'film.mp4'), frames: 480, size: '320x180' })
  const id = await stack.submit(film, { batch: { frames: 20 }, model: 'relief' })
  await stack.until(id, ({ frames }) => frames.done >= 40)
  const { workers } = await stack.api.fleet()
  const [, pid] = /\/(\d+)-/.exec(workers[0]?.id ?? '') ?? []
  await killInMidBatch(Number(pid), id)
  // The other batch that it had, if it had one, is only given back.
  const failed = () =>
    named(collector.spans, 'batch').filter(
      ({ attributes }) => attributes['framefleet.outcome'] === 'resource',
    )
  await expect.poll(() => failed().length, patient).toBeGreaterThan(0)
  expect(failed()[0]).toMatchObject({
    failed: true,
    attributes: { 'framefleet.job': id, 'framefleet.attempt': 1 },
  })
  // Its last words are the ones that matter most: they go within a fifth of a second.
  const said = async () => (await linesOf(id)).filter((line) => String(line['pid']) === pid)
  await expect.poll(async () => (await said()).map(({ msg }) => msg), patient).toContain('batch failed')
  process.kill(Number(pid), 'SIGKILL')
  await redis.flushall()
  expect(await stack.ends(id)).toMatchObject({ status: 'succeeded' })
  // What Redis knew of them is lost, and what lies in storage was done all the same.
  const { batches } = (await (await stack.call('GET', `/v1/jobs/${id}/batches`)).json()) as BatchesView
  expect(new Set(batches.map(({ state }) => state))).toEqual(new Set(['done']))
  const spans = await traceOf(id, { accept: 1, stitch: 1 })
  expect(named(spans, 'accept')).toHaveLength(1)
  expect(failed().map(({ traceId }) => traceId)).toContain(spans[0]?.traceId)
  // Those that were committed before the first worker died may have lost their spans with it, as many as it makes in two seconds.
  await expect.poll(() => batchesOf(ofTrace(spans[0]?.traceId ?? '')), patient).toContain(`${id}.000023`)

  await expect.poll(async () => (await linesOf(id)).at(-1)?.['msg'], patient).toBe('stitch done')
  const lines = await linesOf(id)
  const times = lines.map(({ time }) => String(time))
  expect(times).toEqual(times.toSorted())
  // Of two processes that scored, and of all roles that had to do with it.
  const workersOf = lines.filter(({ msg }) => msg === 'batch done').map((line) => line['pid'])
  expect(new Set(workersOf).size).toBe(2)
  expect(new Set(lines.map(({ role }) => role))).toEqual(
    new Set(['producer', 'worker', 'engine', 'stitcher']),
  )
  const done = lines.find(({ msg, skipped }) => msg === 'batch done' && skipped === undefined)
  expect(Object.keys(done?.['ms'] as object)).toEqual(
    expect.arrayContaining(['fetch', 'decode', 'infer', 'encode', 'upload', 'total']),
  )
  expect(lines.find(({ msg }) => msg === 'job ended')).toMatchObject({
    ...{ job: id, status: 'succeeded', frames: 480, trace: spans[0]?.traceId },
    ms: { fetch: expect.any(Number), join: expect.any(Number), publish: expect.any(Number) },
  })
})

/** One that has nothing to do: a stack has workers or an autoscaler. */
async function startAutoscaler() {
  const service = await startRole({
    ...{ name: 'autoscaler', main: new URL('../../src/autoscaler/main.ts', import.meta.url) },
    logFile: join(dir, 'autoscaler.ndjson'),
    env: {
      ...{ ...stack.stack.env, PATH: process.env['PATH'] },
      ...{ FRAMEFLEET_LOCAL_DIR: stack.dir, FRAMEFLEET_FLEET_MAX: '3', FRAMEFLEET_TICK_SECONDS: '0.2' },
    },
  })
  const port = ports['FRAMEFLEET_AUTOSCALER_PORT']
  return { port, [Symbol.asyncDispose]: async () => await service.stop(5_000) }
}

test('what the dashboard shows and the rules go by is what the roles say', async () => {
  await using autoscaler = await startAutoscaler()
  const page = async (port = '') => await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
  await expect
    .poll(async () => await page(autoscaler.port), patient)
    .toMatch(/^framefleet_fleet_max\{role="autoscaler"\} 3$/m)
  const told = await Promise.all(Object.values(ports).map(page))
  const metrics = new Map(
    told
      .flatMap((text) => [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)])
      .map(([, name, type]) => [name, type]),
  )
  const exists = (name: string) => {
    const [, base] = /^(.*)_(?:bucket|sum|count)$/.exec(name) ?? []
    return metrics.has(name) || (base !== undefined && metrics.get(base) === 'histogram')
  }
  const wanted = [...(await metricsOfDashboard()), ...(await metricsOfRules())]
  expect(wanted.length).toBeGreaterThan(20)
  expect(wanted.filter((name) => name !== 'up' && !exists(name))).toEqual([])
  // Nor is anything told that nobody looks at.
  const own = [...metrics.keys()].filter((name) => name?.startsWith('framefleet_'))
  const seen = new Set(wanted.map((name) => name.replace(/_(?:bucket|sum|count)$/, '')))
  expect(own.filter((name) => !seen.has(name ?? '') && !seen.has(`${name}`))).toEqual([])
  // And what was counted is what was done.
  const value = (line: RegExp) =>
    told.flatMap((text) => [...text.matchAll(line)].map(([, count]) => Number(count)))
  expect(
    Math.max(...value(/^framefleet_jobs_total\{.*status="succeeded".*\} (\d+)/gm)),
  ).toBeGreaterThanOrEqual(2)
})
