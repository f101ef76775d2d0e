import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { failingModel } from '../../scripts/chaos/poison-models.ts'
import { entryIds } from '../../src/shared/queues.ts'
import { makeClip } from '../support/clips.ts'
import { type TestStack, startTestStack } from '../support/stack.ts'
import { tempDir } from '../support/temp-dir.ts'

const dir = tempDir()
let stack: TestStack
let redis: Redis
beforeAll(async () => {
  stack = await startTestStack({ workers: 1, env: { FRAMEFLEET_MAX_REQUESTS_PER_SECOND: '10000' } })
  redis = new Redis(stack.stack.env['FRAMEFLEET_REDIS_URL'] ?? '')
})
afterAll(async () => {
  redis?.disconnect()
  await stack?.stop()
})

type Record = { id: string; queue: string; entry: string; jobId?: string; reason: string; message: string }
type Listed = { total: number; records: Record[] }

const batches = '{framefleet}:batch:'
const sha256 = async (id: string) =>
  ((await stack.api.report(id)) as { output: { sha256: string } }).output.sha256
const listed = async (): Promise<Listed> =>
  (await (await stack.call('GET', '/v1/quarantine?limit=100')).json()) as Listed
const boardStatus = async (queue: string) =>
  (await stack.call('GET', `/queues/api/queues?activeQueue=${queue}&status=latest&page=1&jobsPerPage=10`))
    .status

/** The command line, as an operator has it. */
async function framefleet(...args: string[]): Promise<string> {
  const env = {
    ...process.env,
    FRAMEFLEET_API_URL: stack.stack.apiUrl,
    FRAMEFLEET_API_TOKEN: stack.stack.token,
  }
  const main = new URL('../../src/cli/main.ts', import.meta.url).pathname
  return (await promisify(execFile)(process.execPath, [main, ...args, '--dir', dir], { env })).stdout
}

/** Puts an entry straight into Redis, and at the front: it is what is taken next. */
async function leave(id: string, fields: { [field: string]: string }) {
  const data = JSON.stringify({ jobId: 'b3a4d2f0-0000-4000-8000-000000000001', index: 0, first: 0, count: 1 })
  await redis.hset(`${batches}${id}`, { name: 'batch', data, opts: '{}', timestamp: '1', ...fields })
  await redis.rpush(`${batches}wait`, id)
}

test('garbage on the queues, and broken entries of its own, cost a running job nothing', async () => {
  const source = await makeClip({ path: join(dir, 'long.mp4'), frames: 240, size: '160x90' })
  const options = { model: 'relief', batch: { frames: 10 } }
  const reference = await stack.submit(source, options)
  await stack.ends(reference)

  const id = await stack.submit(source, options)
  await stack.until(id, ({ frames }) => frames.done >= 10)
  await redis.rpush(`${batches}wait`, 'nothing')
  await leave('broken-data', { data: '{"jobId' })
  await leave('broken-options', { opts: 'attempts=3' })
  await leave('wrong-type', { data: '{"jobId":7}' })
  await leave('unknown-name', { name: 'mine-coins' })
  await leave('a-billion', { opts: '{"attempts":1000000000}' })
  await leave('large', { data: JSON.stringify({ jobId: 'x'.repeat(10 << 20) }) })
  await redis.rpush(`${batches}a-list`, 'one')
  await redis.rpush(`${batches}wait`, 'a-list')
  const [broken, unreadable] = [entryIds.batch(id, 22), entryIds.batch(id, 23)]
  await redis.hset(`${batches}${broken}`, 'data', '{')
  await redis.hset(`${batches}${unreadable}`, 'opts', 'mine')
  // All that waits is lost with it, and every claim fails.
  await redis.set(`${batches}prioritized`, 'mine')

  expect(await stack.ends(id)).toMatchObject({ status: 'succeeded', frames: { done: 240, total: 240 } })
  expect(await sha256(id)).toBe(await sha256(reference))
})

test('Bull Board stays up meanwhile, and all of it is in quarantine, on the API and the command line', async () => {
  await leave('broken-again', { data: '{' })
  await leave('broken-options-again', { opts: '{' })
  await redis.set(`${batches}delayed`, 'mine')
  const pages: number[] = []
  let found = await listed()
  while (found.total < 14) {
    for (const queue of ['batch', 'quarantine']) pages.push(await boardStatus(queue))
    found = await listed()
  }
  expect(new Set(pages)).toEqual(new Set([200]))
  const wanted = {
    ...{ nothing: /no content/, 'broken-data': /not JSON/, 'broken-options': /opts that is not JSON/ },
    ...{ 'wrong-type': /does not fit/, 'unknown-name': /mine-coins/, 'a-billion': /attempts/ },
    ...{ large: /data of 10485\d{3} bytes/, 'a-list': /is a list/, 'key prioritized': /is a string/ },
  }
  for (const [entry, message] of Object.entries(wanted)) {
    const record = found.records.find((each) => each.entry === entry)
    expect(record).toMatchObject({
      reason: 'unreadable',
      queue: 'batch',
      message: expect.stringMatching(message),
    })
  }
  // What was broken of the job is noted under it.
  expect(found.records.filter(({ jobId }) => jobId !== undefined)).toHaveLength(2)

  const text = await framefleet('quarantine')
  expect(text).toContain('batch.a-billion')
  const shown = JSON.parse(await framefleet('quarantine', 'show', 'batch.large', '--json')) as {
    payload: string
  }
  expect(shown.payload).toHaveLength(4_096)
  await framefleet('quarantine', 'drop', 'batch.large')
  expect((await stack.call('GET', '/v1/quarantine/batch.large')).status).toBe(404)
  await expect(framefleet('quarantine', 'drop', 'batch.large')).rejects.toThrow(/no record batch\.large/)
})

test('a record is retried where there is a failed job to run again, and says why where there is not', async () => {
  const retry = async (id: string) => {
    const answer = await stack.call('POST', `/v1/quarantine/${id}/retry`)
    return { status: answer.status, ...((await answer.json()) as { code?: string; detail?: string }) }
  }
  expect(await retry('batch.nobody')).toMatchObject({ status: 404, code: 'record-unknown' })
  expect(await retry('batch.nothing')).toMatchObject({ status: 422, code: 'not-retryable' })
  const { records } = await listed()
  const healed = records.find(({ jobId }) => jobId !== undefined)
  expect(await retry(healed?.id ?? '')).toMatchObject({ status: 409, code: 'job-ended' })

  const { bytes, manifest } = failingModel()
  await stack.addModel(bytes, { ...manifest })
  const clip = await makeClip({
    ...{ path: join(dir, 'white.mp4'), frames: 12, size: '96x64' },
    filter: "drawbox=color=white:t=fill:enable='eq(n,5)'",
    video: ['-c:v', 'libx264', '-crf', '0', '-preset', 'ultrafast', '-pix_fmt', 'yuv444p'],
  })
  const id = await stack.submit(clip, { model: 'failing' })
  expect(await stack.ends(id)).toMatchObject({ status: 'failed' })
  const record = `batch.${entryIds.batch(id, 0)}`
  expect(JSON.parse(await framefleet('quarantine', 'retry', record, '--json'))).toMatchObject({ jobId: id })
  // It runs, and comes to the same end: nobody has mended the model.
  expect(['queued', 'splitting', 'scoring', 'stitching']).toContain((await stack.api.job(id)).status)
  expect((await stack.call('GET', `/v1/quarantine/${record}`)).status).toBe(404)
  expect(await stack.ends(id)).toMatchObject({ status: 'failed' })
  expect((await stack.call('GET', `/v1/quarantine/${record}`)).status).toBe(200)
})
