import { readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { BlobSASPermissions } from '@azure/storage-blob'
import { Queue } from 'bullmq'
import { Redis } from 'ioredis'
import type { JWTPayload } from 'jose'
import sharp from 'sharp'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { freePort } from '../../src/cli/services.ts'
import { connectAccount } from '../../src/shared/blob-store.ts'
import { JobRequest } from '../../src/shared/job.ts'
import { makeClip } from '../support/clips.ts'
import { type FakeIssuer, caller, startFakeIssuer, tenant } from '../support/fake-issuer.ts'
import { type TestStack, startTestStack } from '../support/stack.ts'
import { tempDir } from '../support/temp-dir.ts'

const dir = tempDir()
let stack: TestStack
let clip = ''
let url = ''
let issuer: FakeIssuer
let metricsPort = 0
beforeAll(async () => {
  issuer = await startFakeIssuer()
  metricsPort = await freePort()
  const env = {
    FRAMEFLEET_API_ISSUER: issuer.issuer,
    FRAMEFLEET_API_AUDIENCE: issuer.audience,
    FRAMEFLEET_PRODUCER_PORT: String(metricsPort),
  }
  stack = await startTestStack({ workers: 1, env })
  clip = await makeClip({ path: join(dir, 'clip.mp4'), frames: 48 })
  url = await stack.upload(clip)
})
afterAll(async () => {
  await stack?.stop()
  await issuer?.close()
})

const post = async (body: unknown, headers: Record<string, string> = {}) =>
  await stack.call('POST', '/v1/jobs', {
    body: JSON.stringify(body),
    headers: { 'content-type': 'application/json', ...headers },
  })

test('a job from POST to its output, by the links alone', async () => {
  const accepted = await post({ source: { url }, model: 'relief' })
  expect(accepted.status).toBe(202)
  const { id, status, links } = (await accepted.json()) as {
    id: string
    status: string
    links: Record<string, string>
  }
  expect(accepted.headers.get('location')).toBe(links['self'])
  // A producer that has nothing else to do may be at it already.
  expect(['queued', 'splitting']).toContain(status)
  await stack.ends(id)

  const job = (await (await stack.call('GET', links['self'] ?? '')).json()) as {
    links: Record<string, string>
    fps: number
  }
  expect(job).toMatchObject({
    id,
    status: 'succeeded',
    model: 'relief@1',
    frames: { done: 48, total: 48 },
    error: null,
  })
  expect(job.fps).toBeGreaterThan(0)
  const output = await stack.call('GET', job.links['output'] ?? '')
  expect(output.headers.get('content-type')).toBe('video/mp4')
  expect((await output.arrayBuffer()).byteLength).toBeGreaterThan(1_000)
  const preview = await stack.call('GET', job.links['preview'] ?? '')
  const { format, width } = await sharp(Buffer.from(await preview.arrayBuffer())).metadata()
  expect({ format, width }).toEqual({ format: 'jpeg', width: 4 * 320 + 3 * 4 })
  const report = (await (await stack.call('GET', job.links['report'] ?? '')).json()) as {
    frames: number
    ms: object
  }
  expect(report).toMatchObject({
    status: 'succeeded',
    frames: 48,
    framesReplaced: [],
    batches: { planned: 1, failed: 0 },
  })
  // Nothing that only a running job needs is left.
  const names = await stack.namesUnder(`jobs/${id}/`)
  const own = names.map((name) => name.slice(`jobs/${id}/`.length)).toSorted()
  expect(own.filter((name) => /^pairs\/\d{6}-(?:before|after)\.jpg$/.test(name))).toHaveLength(8)
  expect(own.filter((name) => !name.startsWith('pairs/'))).toEqual([
    'job.json',
    'output.mp4',
    'plan.json',
    'preview.jpg',
    'report.json',
    'timeline.json',
  ])
})

test('the same Idempotency-Key meets the same job; another request under it is refused', async () => {
  const key = { 'idempotency-key': 'order-66' }
  const ids = await Promise.all(
    [1, 2, 3].map(
      async () =>
        ((await (await post({ source: { url }, model: 'passthrough' }, key)).json()) as { id: string }).id,
    ),
  )
  expect(new Set(ids).size).toBe(1)
  const other = await post({ source: { url }, model: 'relief' }, key)
  expect({ status: other.status, problem: await other.json() }).toMatchObject({
    status: 422,
    problem: { code: 'idempotency-mismatch' },
  })
  await stack.ends(ids[0] ?? '')
})

test('an output URL of its own is written to', async () => {
  const wanted = stack.media.url('out/of/mine.mkv')
  const { id } = await stack.api.submit({
    source: { url },
    model: 'passthrough',
    output: { url: wanted, container: 'mkv' },
  })
  expect(await stack.ends(id)).toMatchObject({ status: 'succeeded', output: wanted })
  expect((await stack.media.head('out/of/mine.mkv'))?.bytes).toBeGreaterThan(1_000)
})

test('a cancelled job ends, and leaves nothing behind', async () => {
  const long = await makeClip({ path: join(dir, 'long.mp4'), frames: 1_500, size: '320x180' })
  const id = await stack.submit(long, { model: 'relief', batch: { frames: 500 } })
  await stack.until(id, ({ frames }) => frames.done > 0)
  expect((await stack.call('DELETE', `/v1/jobs/${id}`)).status).toBe(202)
  expect(await stack.ends(id)).toMatchObject({ status: 'cancelled' })
  // The stitcher writes the report once every batch has let go.
  await expect
    .poll(async () => (await stack.call('GET', `/v1/jobs/${id}/report`)).status, { timeout: 30_000 })
    .toBe(200)
  const names = await stack.namesUnder(`jobs/${id}/`)
  expect(names.filter((name) => !name.endsWith('.json'))).toEqual([])
  expect(names).not.toContain(`jobs/${id}/secret.json`)
})

test('a job that has ended is not cancelled', async () => {
  const id = await stack.submit(clip)
  await stack.ends(id)
  const answer = await stack.call('DELETE', `/v1/jobs/${id}`)
  expect({ status: answer.status, problem: await answer.json() }).toMatchObject({
    status: 409,
    problem: { code: 'job-ended' },
  })
})

test('jobs are listed, newest first, in pages', async () => {
  const first = await stack.submit(clip)
  const second = await stack.submit(clip)
  const list = async (query: string) =>
    ((await (await stack.call('GET', `/v1/jobs?${query}`)).json()) as { jobs: { id: string }[] }).jobs.map(
      ({ id }) => id,
    )
  expect(await list('limit=2')).toEqual([second, first])
  expect(await list('limit=1&offset=1')).toEqual([first])
  await Promise.all([stack.ends(first), stack.ends(second)])
})

test('what Redis forgot is answered from storage', async () => {
  const id = await stack.submit(clip)
  await stack.ends(id)
  const redis = new Redis(stack.stack.env['FRAMEFLEET_REDIS_URL'] ?? '')
  await redis.flushall()
  redis.disconnect()
  expect(await stack.api.job(id)).toMatchObject({ id, status: 'succeeded', frames: { done: 48, total: 48 } })
  const { models } = await stack.api.models()
  expect(models.map(({ name }) => name)).toEqual([
    'composition-vii',
    'great-wave',
    'passthrough',
    'relief',
    'starry-night',
  ])
})

test('a SAS reads its source, and reaches neither Redis, nor logs, nor the job as it is shown', async () => {
  const account = connectAccount(stack.stack.env['FRAMEFLEET_MEDIA_ACCOUNT'] ?? '')
  const blob = account.getContainerClient('media').getBlobClient(stack.media.nameOf(url) ?? '')
  const permissions = BlobSASPermissions.parse('r')
  const sas = await blob.generateSasUrl({ permissions, expiresOn: new Date(Date.now() + 600_000) })
  const signature = new URL(sas).searchParams.get('sig') ?? ''
  expect(signature.length).toBeGreaterThan(20)
  const { id } = await stack.api.submit({ source: { url: sas }, model: 'passthrough' })
  await stack.until(id, ({ frames }) => frames.total !== null)
  const leaks = (text: string) => text.includes(signature) || text.includes(encodeURIComponent(signature))

  const redis = new Redis(stack.stack.env['FRAMEFLEET_REDIS_URL'] ?? '')
  const keys = await redis.keys('*')
  const values = await Promise.all(keys.map(async (key) => await contents(redis, key)))
  redis.disconnect()
  expect(keys.length).toBeGreaterThan(5)
  expect(values.filter(leaks)).toEqual([])
  expect(await stack.ends(id)).toMatchObject({ status: 'succeeded', source: url })
  expect(leaks(JSON.stringify([await stack.api.job(id), await stack.api.report(id)]))).toBe(false)
  expect(await stack.namesUnder(`jobs/${id}/secret`)).toEqual([])
  const logs = await readdir(join(stack.dir, 'logs'))
  const text = await Promise.all(
    logs
      .filter((name) => name !== 'azurite.log')
      .map(async (name) => await readFile(join(stack.dir, 'logs', name), 'utf8')),
  )
  expect(text.filter(leaks)).toEqual([])
  expect(text.join()).not.toContain(stack.stack.token)
})

test.each(['/v1/jobs', '/v1/models', '/queues', '/queues/api/queues'])('%s wants a token', async (path) => {
  for (const authorization of ['', 'Bearer wrong-wrong-wrong-wrong', 'Basic eDp3cm9uZw==']) {
    const answer = await fetch(`${stack.stack.apiUrl}${path}`, { headers: { authorization } })
    expect(answer.status).toBe(401)
    expect(await answer.json()).toMatchObject({ code: 'unauthorized' })
  }
})

test('Bull Board shows the queues, to a browser that gives the token as password, and changes nothing', async () => {
  const authorization = `Basic ${Buffer.from(`me:${stack.stack.token}`).toString('base64')}`
  const page = await fetch(`${stack.stack.apiUrl}/queues`, { headers: { authorization } })
  expect(await page.text()).toMatch(/framefleet/)
  const api = await fetch(`${stack.stack.apiUrl}/queues/api/queues`, { headers: { authorization } })
  const { queues } = (await api.json()) as { queues: { name: string; readOnlyMode: boolean }[] }
  expect(queues.map(({ name, readOnlyMode }) => [name, readOnlyMode])).toEqual([
    ['split', true],
    ['batch', true],
    ['stitch', true],
    ['quarantine', true],
    ['autoscale', true],
    ['schedule', true],
  ])
})

test('the API describes itself, from the schemas it checks by', async () => {
  const docs = (await (await stack.call('GET', '/docs/json')).json()) as {
    paths: Record<string, object>
    components: { schemas: Record<string, { properties: object }> }
  }
  expect(Object.keys(docs.paths).toSorted()).toEqual([
    '/v1/events',
    '/v1/fleet',
    '/v1/jobs',
    '/v1/jobs/{id}',
    '/v1/jobs/{id}/batches',
    '/v1/jobs/{id}/frames',
    '/v1/jobs/{id}/frames/{frame}/{side}',
    '/v1/jobs/{id}/links',
    '/v1/jobs/{id}/logs',
    '/v1/jobs/{id}/output',
    '/v1/jobs/{id}/preview',
    '/v1/jobs/{id}/report',
    '/v1/jobs/{id}/restitch',
    '/v1/jobs/{id}/resume',
    '/v1/jobs/{id}/stream',
    '/v1/models',
    '/v1/models/{name}/picture',
    '/v1/quarantine',
    '/v1/quarantine/{id}',
    '/v1/quarantine/{id}/retry',
    '/v1/readings',
    '/v1/resume',
    '/v1/schedules',
    '/v1/schedules/{id}',
    '/v1/schedules/{id}/run',
    '/v1/stream',
    '/v1/triggers',
    '/v1/triggers/test',
    '/v1/uploads',
  ])
  const described = docs.components.schemas['JobRequestInput'] ?? docs.components.schemas['JobRequest']
  expect(Object.keys(described?.properties ?? {}).toSorted()).toEqual(
    Object.keys(JobRequest.shape).toSorted(),
  )
})

test('it says that it is alive and ready, and on a port of its own what it counts', async () => {
  const own = `http://127.0.0.1:${metricsPort}`
  for (const url of [stack.stack.apiUrl, own]) {
    expect(await (await fetch(`${url}/healthz`)).json()).toEqual({ status: 'ok' })
    expect(await (await fetch(`${url}/readyz`)).json()).toEqual({ status: 'ready' })
  }
  expect((await stack.call('GET', '/metrics')).status).toBe(404)
  expect(await (await fetch(`${own}/metrics`)).text()).toMatch(
    /framefleet_work_total\{queue="split",outcome="done",role="producer"\} \d+/,
  )
})

test('a token far too long is a problem, too', async () => {
  const answer = await stack.call('GET', '/v1/jobs', {
    headers: { authorization: `Bearer ${'x'.repeat(20_000)}` },
  })
  expect({
    status: answer.status,
    type: answer.headers.get('content-type'),
    body: await answer.json(),
  }).toMatchObject({
    ...{ status: 431, type: 'application/problem+json' },
    body: {
      status: 431,
      code: 'bad-request',
      detail: expect.stringMatching(/^The headers are larger than 16 KiB/),
    },
  })
})

test('what is not there is a problem, too', async () => {
  for (const [path, code] of [
    ['/v1/nothing', 'not-found'],
    ['/v1/jobs/%E0%A4%A', 'bad-request'],
    ['/v1/jobs/0000000000', 'job-unknown'],
    ['/v1/jobs/NOT%20AN%20ID', 'bad-request'],
  ] as const) {
    const answer = await stack.call('GET', path)
    expect({ path, status: answer.status, problem: await answer.json() }).toMatchObject({
      path,
      status: code === 'bad-request' ? 400 : 404,
      problem: { code },
    })
  }
})

test('a user of the directory brings a video and fetches what came of it, by links alone', async () => {
  const bearer = async (claims: JWTPayload) => ({ authorization: `Bearer ${await issuer.token(claims)}` })
  const me = await bearer({ roles: ['Job.Submit'] })
  const asUser = async (headers: Record<string, string>, method: string, path: string, body?: object) => {
    const json = body
      ? { body: JSON.stringify(body), headers: { 'content-type': 'application/json', ...headers } }
      : { headers }
    const answer = await stack.call(method, path, json)
    return { status: answer.status, body: (await answer.json()) as Record<string, unknown> }
  }

  const begun = await asUser(me, 'POST', '/v1/uploads', { name: 'C:\\fakepath\\Fête #1.mp4' })
  expect(begun.status).toBe(201)
  const { url: to, source } = begun.body as { url: string; source: string }
  expect(source).toMatch(/\/media\/uploads\/\d{4}-\d\d-\d\d\/[\da-f-]{29}\/F%C3%AAte-1\.mp4$/)
  // Whose page it is that puts it there is asked first by the browser.
  const origin = stack.stack.apiUrl
  const ask = {
    origin,
    'access-control-request-method': 'PUT',
    'access-control-request-headers': 'x-ms-blob-type',
  }
  const allowed = async (headers: Record<string, string>) =>
    (await fetch(to, { method: 'OPTIONS', headers })).status
  expect([await allowed(ask), await allowed({ ...ask, origin: 'https://evil.example.com' })]).toEqual([
    200, 403,
  ])

  // The link may have ended before all is there: whoever began it goes on by another one.
  const again = await asUser(me, 'POST', '/v1/uploads', { source })
  expect(again).toMatchObject({ status: 201, body: { source } })
  const other = await bearer({ roles: ['Job.Submit'], oid: '33333333-3333-4333-8333-333333333333' })
  for (const [who, what] of [
    [other, source],
    [me, url],
    [me, 'https://example.com/uploads/x.mp4'],
  ] as const) {
    expect(await asUser(who, 'POST', '/v1/uploads', { source: what })).toMatchObject({
      status: 422,
      body: { code: 'upload-unknown' },
    })
  }
  const put = { method: 'PUT', headers: { 'x-ms-blob-type': 'BlockBlob' }, body: await readFile(clip) }
  expect((await fetch(String(again.body['url']), put)).status).toBe(201)
  expect(await asUser(me, 'POST', '/v1/uploads', { source })).toMatchObject({
    status: 409,
    body: { code: 'upload-done' },
  })

  const accepted = await asUser(me, 'POST', '/v1/jobs', { source: { url: source }, model: 'passthrough' })
  expect(accepted).toMatchObject({ status: 202 })
  const id = String(accepted.body['id'])
  const reader = await bearer({ roles: ['Job.Read'] })
  expect(await stack.ends(id)).toMatchObject({ status: 'succeeded' })
  const { body: links } = await asUser(reader, 'GET', `/v1/jobs/${id}/links`)
  expect(Object.keys(links)).toEqual(['source', 'output', 'preview', 'report'])
  const behind = async (what: string) => await fetch((links[what] as { url: string }).url)
  const output = await behind('output')
  expect(output.headers.get('content-type')).toBe('video/mp4')
  expect(output.headers.get('content-disposition')).toContain("filename*=UTF-8''F%C3%AAte-1.scored.mp4")
  expect(Buffer.from(await (await behind('source')).arrayBuffer()).equals(await readFile(clip))).toBe(true)
  expect((await sharp(Buffer.from(await (await behind('preview')).arrayBuffer())).metadata()).format).toBe(
    'jpeg',
  )
  expect(await (await behind('report')).json()).toMatchObject({ jobId: id, status: 'succeeded' })
  // What is no video can be named, and not read.
  await stack.media.write('confidential/plan.txt', Buffer.from('to be kept'))
  const text = { source: { url: stack.media.url('confidential/plan.txt') }, model: 'passthrough' }
  const named = String((await asUser(me, 'POST', '/v1/jobs', text)).body['id'])
  const linked = async () => Object.keys((await asUser(me, 'GET', `/v1/jobs/${named}/links`)).body)
  expect((await linked()).filter((what) => what !== 'report')).toEqual([])
  expect(await stack.ends(named)).toMatchObject({ status: 'failed' })
  expect(await linked()).toEqual(['report'])
  expect(await asUser(reader, 'DELETE', `/v1/jobs/${id}`)).toMatchObject({
    status: 403,
    body: { code: 'forbidden' },
  })
  expect(await asUser(reader, 'GET', '/v1/jobs/0000000000/links')).toMatchObject({ status: 404 })
  // Who did it is found later.
  const log = await readFile(join(stack.dir, 'logs', 'producer.ndjson'), 'utf8')
  const answered = log.split('\n').filter((line) => line.includes('"msg":"answered"'))
  expect(answered.map((line) => JSON.parse(line) as object)).toContainEqual(
    expect.objectContaining({ path: '/v1/jobs', status: 202, client: `${tenant}.${caller}` }),
  )
})

test('an entry that is no job at all goes out of the way by itself and harms nobody', async () => {
  const connection = new Redis(stack.stack.env['FRAMEFLEET_REDIS_URL'] ?? '', { maxRetriesPerRequest: null })
  const queue = new Queue('batch', { connection, prefix: '{framefleet}' })
  const entry = await queue.add('batch', { jobId: 'x', index: -1 }, { attempts: 5 })
  const id = await stack.submit(clip)
  expect(await stack.ends(id)).toMatchObject({ status: 'succeeded' })
  while (await queue.getJob(entry.id ?? '')) await connection.ping()
  const record = await stack.call('GET', `/v1/quarantine/batch.${entry.id}`)
  expect(await record.json()).toMatchObject({
    ...{ queue: 'batch', reason: 'unreadable', payload: '{"jobId":"x","index":-1}' },
    message: expect.stringMatching(/has a payload that does not fit: jobId/),
  })
  await queue.close()
  connection.disconnect()
})

/** Everything a key holds, as text; a dump would be compressed. */
async function contents(redis: Redis, key: string): Promise<string> {
  const type = await redis.type(key)
  const read: Record<string, () => Promise<unknown>> = {
    hash: async () => await redis.hgetall(key),
    list: async () => await redis.lrange(key, 0, -1),
    zset: async () => await redis.zrange(key, '0', '-1'),
    set: async () => await redis.smembers(key),
    stream: async () => await redis.xrange(key, '-', '+'),
    string: async () => await redis.get(key),
  }
  // One that has gone meanwhile has nothing.
  return JSON.stringify((await read[type]?.()) ?? null)
}

test('what devices measured lies in storage once it is acknowledged, under its hour, and is counted', async () => {
  const TS = new Date().toISOString()
  const reading = { TS, Device: 'pump-1', Tag: 'pressure', Val: 4.7 }
  const answer = await stack.call('POST', '/v1/readings', {
    body: `${JSON.stringify(reading)}\nnonsense\n`,
    headers: { 'content-type': 'application/x-ndjson' },
  })
  expect(answer.status).toBe(207)
  expect(await answer.json()).toMatchObject({ taken: 1, refused: 1, errors: [{ line: 2 }] })
  const [name = ''] = await stack.namesUnder('readings/')
  expect(name.startsWith(`readings/${TS.slice(0, 13).replaceAll(/[-T]/g, '/')}/`)).toBe(true)
  expect(JSON.parse(String(await stack.media.read(name)))).toEqual(reading)
  const metrics = await (await fetch(`http://127.0.0.1:${metricsPort}/metrics`)).text()
  expect(metrics).toMatch(/framefleet_readings_total\{[^}]*outcome="taken"[^}]*\} 1/)
})
