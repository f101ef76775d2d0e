import { join } from 'node:path'
import { FlowProducer } from 'bullmq'
import Fastify from 'fastify'
import { serializerCompiler, validatorCompiler } from 'fastify-type-provider-zod'
import { expect, test } from 'vitest'
import { acceptJob } from '../../src/producer/accept-job.ts'
import { createAdmission } from '../../src/producer/admission.ts'
import { addJobRoutes } from '../../src/producer/job-routes.ts'
import { handleErrors } from '../../src/producer/problem.ts'
import { openFlows } from '../../src/producer/resume.ts'
import { createFileCache } from '../../src/shared/file-cache.ts'
import { JobRequest } from '../../src/shared/job.ts'
import { createAcceptedOutputs } from '../../src/shared/accepted-outputs.ts'
import { createJobFiles } from '../../src/shared/job-files.ts'
import { layout } from '../../src/shared/layout.ts'
import { builtinModels } from '../../src/shared/models/builtin.ts'
import { createModelStore } from '../../src/shared/models/model-store.ts'
import { entryIds } from '../../src/shared/queues.ts'
import { connectRedis } from '../../src/shared/redis.ts'
import { createSourceReader } from '../../src/shared/source.ts'
import { byUrl, silent } from '../support/services.ts'
import { tempDir } from '../support/temp-dir.ts'
import { useServices } from '../support/use-services.ts'

const dir = tempDir()
const services = useServices()

/** What jobs are accepted with; its flows are put on a connection that can be cut. */
async function producer() {
  const [media, prefix, redis] = [await services.container(), services.prefix(), services.connect()]
  const outputs = createAcceptedOutputs(await services.container())
  const files = createJobFiles(media, outputs)
  const models = createModelStore(await services.container())
  for (const { manifest, bytes } of builtinModels()) await models.put(manifest, bytes)
  await media.write('in/clip.mp4', Buffer.alloc(100_000))
  const on = openFlows(redis, { prefix, files, log: silent })
  const line = connectRedis(byUrl(urlOf(redis.options)), silent, {
    name: 'cut',
    patient: false,
  })
  const flows = new FlowProducer({ connection: line, prefix })
  const limits = { clientFrames: 1_000, clientJobs: 10, frames: 1_000 }
  const deps = {
    ...{ ...on, media, models, outputs, flows, maxSourceBytes: 1e9 },
    admit: createAdmission(on.backlog, limits),
    sources: createSourceReader(media, createFileCache({ dir: join(dir, 'cache'), maxBytes: 1e9 })),
    isQueued: async (id: string) => (await redis.exists(on.queues.stitch.toKey(entryIds.stitch(id)))) === 1,
    policy: { mediaUrl: media.url(''), allowed: [] },
  }
  const request = JobRequest.parse({ source: { url: media.url('in/clip.mp4') }, model: 'passthrough' })
  const marks = async () => {
    const found: string[] = []
    for await (const { id } of files.openJobs()) found.push(id)
    return found
  }
  return {
    ...{ ...on, deps, request, marks },
    accept: async (key?: string) => await acceptJob(deps, request, { client: 'me', key }),
    cut: () => line.disconnect(),
    close: async () => {
      await flows.close().catch(() => {})
      line.disconnect()
      await on.close()
    },
  }
}

const urlOf = ({ host, port, password }: { host?: string; port?: number; password?: string | null }) =>
  `redis://:${password}@${host}:${port}`

test('an accepted job is marked, in line and on the queues', async () => {
  const { accept, marks, backlog, deps, close } = await producer()
  const { id, client } = await accept()
  expect(client).toBe('me')
  expect(await marks()).toEqual([id])
  expect(await backlog.list()).toEqual([id])
  expect(await deps.isQueued(id)).toBe(true)
  expect(await deps.statuses.get(id)).toMatchObject({ state: 'queued', client: 'me' })
  await close()
})

test('a job that is on the queues is accepted, though its status could not be noted', async () => {
  const { accept, deps, marks, redis, prefix, close } = await producer()
  // The list of jobs can't be added to.
  await redis.set(`${prefix}:jobs`, 'not a sorted set')
  const { id } = await accept()
  expect(await deps.isQueued(id)).toBe(true)
  expect(await marks()).toEqual([id])
  await close()
})

test('who sends an accepted job again is answered, though Redis does not say how it is doing', async () => {
  const { accept, deps, request, redis, prefix, close } = await producer()
  const app = Fastify()
  app.setValidatorCompiler(validatorCompiler)
  app.setSerializerCompiler(serializerCompiler)
  handleErrors(app)
  app.decorateRequest('client', 'me')
  addJobRoutes(app, { ...deps, resume: deps })
  const { id } = await accept('a-key')
  await redis.del(`${prefix}:job:${id}`)
  await redis.set(`${prefix}:job:${id}`, 'not a hash')
  const headers = { 'idempotency-key': 'a-key' }
  const answer = await app.inject({ method: 'POST', url: '/v1/jobs', headers, payload: request })
  expect(answer.statusCode).toBe(202)
  expect(answer.json()).toMatchObject({ id, status: 'queued', links: { self: `/v1/jobs/${id}` } })
  await app.close()
  await close()
})

test('a job that could not be put on the queues is forgotten if it had no key, else found again by it', async () => {
  const { accept, cut, marks, backlog, deps, close } = await producer()
  cut()
  await expect(accept()).rejects.toThrow(/Connection is closed/)
  expect(await marks()).toEqual([])
  expect(await backlog.list()).toEqual([])
  // Were it on the queues all the same, nothing would be done of it.
  expect((await deps.media.listPage(layout.jobs, {})).items).toEqual([])

  await expect(accept('a-key')).rejects.toThrow(/Connection is closed/)
  const [id = ''] = await marks()
  expect(await backlog.list()).toEqual([id])
  expect(await deps.isQueued(id)).toBe(false)
  // Redis is back, and the caller with its key.
  deps.flows = new FlowProducer({ connection: deps.redis, prefix: deps.prefix })
  expect((await accept('a-key')).id).toBe(id)
  expect(await deps.isQueued(id)).toBe(true)
  await deps.flows.close()
  await close()
})

test('a job whose output would be written over what it is made of is refused', async () => {
  const { deps, close } = await producer()
  const own = (name: string) => deps.media.url(name)
  const spelt = (url: string) => url.replace('/in/', '/%69n/')
  const [csv, tiled] = [{ format: 'csv', key: ['id'], features: ['x'] }, spelt(own('in/tiles.csv'))]
  const scores = (name: string) => ({ scores: { url: own(name) } })
  const below = { images: { prefix: 'in/' } }
  const list = (...names: string[]) => ({ images: { list: names.map(own) } })
  const refused: [source: object, output: object][] = [
    [{ url: own('in/clip.mp4') }, { url: own('in/clip.mp4') }],
    [{ url: own('in/clip.mp4') }, { url: spelt(own('in/clip.mp4')) }],
    [{ url: own('in/clip.mp4') }, { url: `${own('in/clip.mp4')}?sig=x` }],
    [{ url: own('in/clip.mp4') }, scores('in/clip.mp4')],
    [list('x/b.png', 'in/a.png'), below],
    [{ images: { list: [`${own('in/a.png')}?sig=x`] } }, below],
    [list('in/a.png'), scores('in/a.png')],
    [{ images: { manifest: own('in/m.ndjson') } }, scores('in/m.ndjson')],
    [{ images: { manifest: own('in/m.png') } }, below],
    [{ images: { prefix: 'in/' } }, scores('in/a.png')],
    [{ images: { prefix: 'in/a/' } }, below],
    [{ table: { ...csv, url: tiled } }, scores('in/tiles.csv')],
    [{ table: { ...csv, prefix: 'in/' } }, scores('in/scores.csv')],
  ]
  const codeOf = async (source: object, output: object) => {
    const asked = JobRequest.parse({ source, output, model: 'passthrough' })
    const why = await acceptJob(deps, asked, { client: 'me' }).catch((error: unknown) => error)
    return (why as { code?: string }).code ?? 'accepted'
  }
  for (const [source, output] of refused)
    expect([source, output, await codeOf(source, output)]).toEqual([source, output, 'bad-output'])
  // What lies beside each other is no trouble.
  await deps.media.write('in/m.ndjson', Buffer.from('{"name":"x/a.png"}'))
  expect(await codeOf(list('x/a.png', 'inside.png'), below)).toBe('accepted')
  expect(await codeOf({ images: { manifest: own('in/m.ndjson') } }, below)).toBe('accepted')
  expect(await codeOf({ url: own('in/clip.mp4') }, { url: own('in/clip.mp4.mp4') })).toBe('accepted')
  await close()
})

test('nobody has what others brought listed for them', async () => {
  const { deps, close } = await producer()
  const csv = { format: 'csv', key: ['id'], features: ['x'] }
  for (const prefix of ['uploads/', 'uploads/2026-03-01/', 'uploads/2026-03-01/0123456789ab-0123'])
    for (const source of [{ images: { prefix } }, { table: { ...csv, prefix } }]) {
      const asked = JobRequest.parse({ source, output: { scores: {} }, model: 'passthrough' })
      await expect(acceptJob(deps, asked, { client: 'me' })).rejects.toMatchObject({ code: 'reserved-name' })
    }
  await close()
})

test('a list of a thousand images with a SAS each is taken, and no request that is larger than it may be', async () => {
  const { deps, close } = await producer()
  // As the server has it for all that says nothing else.
  const app = Fastify({ bodyLimit: 64 << 10 })
  app.setValidatorCompiler(validatorCompiler)
  app.setSerializerCompiler(serializerCompiler)
  handleErrors(app)
  app.decorateRequest('client', 'me')
  addJobRoutes(app, { ...deps, resume: deps })
  const submit = async (bytes: number) => {
    const list = Array.from(
      { length: 1_000 },
      (_, i) => `${deps.media.url(`a/${i}.png`)}?sig=${'x'.repeat(bytes)}`,
    )
    const payload = { source: { images: { list } }, model: 'passthrough' }
    return await app.inject({ method: 'POST', url: '/v1/jobs', payload })
  }
  expect((await submit(400)).statusCode).toBe(202)
  const large = await submit(1_100)
  expect([large.statusCode, large.json()]).toMatchObject([
    413,
    { detail: 'The body is larger than 1024 KiB.' },
  ])
  await app.close()
  await close()
})
