import Fastify from 'fastify'
import { serializerCompiler, validatorCompiler } from 'fastify-type-provider-zod'
import { expect, test, vi } from 'vitest'
import { handleErrors } from '../../src/producer/problem.ts'
import { addEventRoutes } from '../../src/producer/triggers/event-routes.ts'
import { addTriggerRoutes } from '../../src/producer/triggers/trigger-routes.ts'
import { TransientError } from '../../src/shared/errors.ts'
import { layout } from '../../src/shared/layout.ts'
import { startArrivals } from '../support/arrivals.ts'
import { blobCreated, cloudBlobCreated } from '../support/events.ts'
import { reportFor } from '../support/jobs.ts'
import { tempDir } from '../support/temp-dir.ts'
import { closedAfterEach, useServices } from '../support/use-services.ts'

const dir = tempDir()
const services = useServices()
const opened = closedAfterEach()

const byName = (a: string, b: string) => (a < b ? -1 : 1)
const videos = { name: 'videos', suffixes: ['.mp4'], job: { model: 'passthrough' } }

async function start({
  triggerFiles = true,
  ...options
}: { clientJobs?: number; triggerFiles?: boolean } = {}) {
  const arrivals = await startArrivals(services, { dir, ...options })
  opened.push(arrivals)
  await arrivals.setRules([videos], { triggerFiles })
  const sources = async () => (await arrivals.jobs()).map(({ source }) => source ?? '').toSorted(byName)
  /** Storage tells times by the second: what is done in the next one is later. */
  const nextSecond = async () => {
    const modified = async () => {
      await arrivals.media.write('clock', Buffer.alloc(0))
      return (await arrivals.media.head('clock'))?.modified.getTime() ?? 0
    }
    const now = await modified()
    await vi.waitFor(async () => expect(await modified()).toBeGreaterThan(now), {
      timeout: 5_000,
      interval: 50,
    })
  }
  return { ...arrivals, sources, nextSecond }
}

test('whoever looks finds what landed since the first look, and starts it once', async () => {
  const { land, look, sources, counted, nextSecond } = await start()
  await land('in/old.mp4')
  await nextSecond()
  await look()
  await land('in/a.mp4')
  await land('in/deep/b.mp4')
  await land('in/notes.txt')
  await land('uploads/c.mp4')
  expect(await look()).toEqual({ started: 2 })
  expect(await sources()).toEqual(['in/a.mp4', 'in/deep/b.mp4'])
  expect(await look()).toEqual({})
  expect(await sources()).toHaveLength(2)
  expect(await counted()).toMatchObject({ 'poll started': 2, 'poll known': 2 })
})

test('looking and being told come to the same job', async () => {
  const { land, look, sources, arrive } = await start()
  await look()
  await land('in/a.mp4')
  const told = await arrive(['in/a.mp4'], { way: 'queue' })
  expect(told).toMatchObject({ outcome: 'started', rule: 'videos' })
  expect(await look()).toEqual({})
  expect(await sources()).toEqual(['in/a.mp4'])
})

test('two producers that look at once start one job of each', async () => {
  const { land, look, sources } = await start()
  await look()
  for (let i = 0; i < 5; i++) await land(`in/${i}.mp4`)
  await Promise.all([look(), look()])
  expect(await sources()).toEqual(['in/0.mp4', 'in/1.mp4', 'in/2.mp4', 'in/3.mp4', 'in/4.mp4'])
})

test('what is too much for one look is of the next', async () => {
  const { land, look, sources, nextSecond, counted } = await start()
  await look()
  for (let i = 0; i < 5; i++) await land(`in/${i}.mp4`)
  await nextSecond()
  const some = { most: 2, overlapMs: 0 }
  expect([await look(some), await look(some), await look(some), await look(some)]).toEqual([
    ...[{ started: 2 }, { started: 2 }, { started: 1 }, {}],
  ])
  expect(await sources()).toHaveLength(5)
  expect(await counted()).toEqual({ 'poll started': 5 })
})

test('what has no room is looked at again', async () => {
  const { land, look, sources, jobs, files, flows } = await start({ clientJobs: 1 })
  await look()
  await land('in/a.mp4')
  await look()
  await land('in/b.mp4')
  expect(await look()).toEqual({})
  expect(await sources()).toEqual(['in/a.mp4'])
  const [first] = await jobs()
  await files.writeReport(reportFor(await files.spec(first?.id ?? ''), 'succeeded'))
  await flows.backlog.drop(first?.id ?? '')
  expect(await look()).toEqual({ started: 1 })
})

test('what fails each time for a reason of its own is set aside in the end, and holds back nobody', async () => {
  const { setRules, land, look, system, quarantine, nextSecond } = await start()
  await look()
  await setRules([
    { name: 'broken', suffixes: ['.mkv'], job: { model: 'relief' } },
    { ...videos, job: { model: 'passthrough' } },
  ])
  await system.write(layout.manifest('relief', '1'), Buffer.from('{'))
  await land('in/a.mkv')
  await nextSecond()
  await land('in/b.mp4')
  expect(await look()).toEqual({ started: 1 })
  expect((await quarantine.list(0, 10)).total).toBe(0)
  expect(await look({ givesUpAfterMs: 0 })).toEqual({})
  expect((await quarantine.list(0, 10)).records).toMatchObject([
    { queue: 'arrivals', reason: 'poison', payload: 'in/a.mkv' },
  ])
})

test('a mark that can not be read is made anew', async () => {
  const { land, look, sources, system, nextSecond } = await start()
  await look()
  await land('in/a.mp4')
  await system.write(layout.triggerPoll, Buffer.from('{"v":2}'))
  await nextSecond()
  await look()
  await land('in/b.mp4')
  await look()
  expect(await sources()).toEqual(['in/b.mp4'])
})

test('a trigger file starts the job that it describes', async () => {
  const { arrive, jobs, media, accept, land } = await start()
  await land('films/good.mp4')
  const file = {
    model: 'passthrough',
    source: { name: '/films/good.mp4' },
    priority: 9,
    output: { name: '/out/night/one.mp4' },
  }
  await media.writeJson('in/night/one.TRIGGER.json', file)
  const arrival = await arrive(['in/night/one.TRIGGER.json'], { way: 'queue' })
  expect(arrival).toMatchObject({ outcome: 'started', rule: 'trigger file' })
  const [job] = await jobs()
  expect(job?.source).toBe('films/good.mp4')
  expect((await accept.files.findSpec(job?.id ?? ''))?.request).toMatchObject({
    ...{ priority: 9, output: { url: media.url('out/night/one.mp4') } },
  })
  expect(await arrive(['in/night/one.TRIGGER.json'], { way: 'queue' })).toMatchObject({ outcome: 'known' })
  // The same job by another file is another wish.
  await media.writeJson('in/night/one.TRIGGER.json', { ...file, priority: 1 })
  expect(await arrive(['in/night/one.TRIGGER.json'], { way: 'queue' })).toMatchObject({ outcome: 'started' })
})

test('a trigger file starts nothing where the rules do not take them, whatever rules there are', async () => {
  const { arrive, jobs, media, land, rules, quarantine } = await start({ triggerFiles: false })
  await land('in/film.mov')
  await media.writeJson('in/film.mov.trigger.json', { model: 'passthrough' })
  const said = async () => await arrive(['in/film.mov.trigger.json'], { way: 'queue' })
  const off = { outcome: 'ignored', why: 'the rules take no trigger files' }
  expect(await said()).toEqual(off)
  await rules.set({ rules: [], triggerFiles: false })
  expect(await said()).toEqual(off)
  expect(await jobs()).toEqual([])
  expect((await quarantine.list(0, 10)).total).toBe(0)
  await rules.set({ rules: [], triggerFiles: true })
  expect(await said()).toMatchObject({ outcome: 'started' })
})

test('a trigger file waits for the video that comes after it', async () => {
  const { arrive, media, land, sources } = await start()
  await media.writeJson('in/film.mov.trigger.json', { model: 'passthrough' })
  const look = async () => await arrive(['in/film.mov.trigger.json'], { way: 'queue' })
  await expect(look()).rejects.toThrow(TransientError)
  await land('in/film.mov')
  expect(await look()).toMatchObject({ outcome: 'started' })
  expect(await sources()).toEqual(['in/film.mov'])
})

test.each([
  ['no JSON', '{"model"', 'bad-trigger', /is no JSON/],
  ['a word nobody knows', '{"model":"passthrough","colour":"red"}', 'bad-trigger', /colour/],
  [
    'a model that is not there',
    '{"model":"van-gogh","source":{"name":"a.mp4"}}',
    'unknown-model',
    /van-gogh/,
  ],
  ['more than a request', `{"model":"${'x'.repeat(70_000)}"}`, 'bad-trigger', /65536 are the limit/],
  [
    'what is ours',
    '{"model":"passthrough","source":{"name":"/jobs/x/plan.json"}}',
    'reserved-name',
    /jobs\//,
  ],
  [
    'an output over what others brought',
    '{"model":"passthrough","source":{"name":"a.mp4"},"output":{"name":"/uploads/b.mp4"}}',
    'bad-trigger',
    /uploads\/b\.mp4 is neither below in\/ nor below out\//,
  ],
  [
    'what nobody allowed',
    '{"model":"passthrough","source":{"url":"http://169.254.169.254/"}}',
    'host-not-allowed',
    /169/,
  ],
])('a trigger file with %s is in quarantine with one sentence', async (_, text, code, sentence) => {
  const { arrive, media, land, quarantine, jobs } = await start()
  await land('in/a.mp4')
  const name = 'in/one.trigger.json'
  await media.write(name, Buffer.from(text))
  expect(await arrive([name], { way: 'queue' })).toMatchObject({ outcome: 'refused', code })
  expect((await quarantine.list(0, 10)).records).toMatchObject([
    { queue: 'arrivals', reason: 'refused', message: sentence, payload: name },
  ])
  expect(await jobs()).toEqual([])
})

/** The routes, over real HTTP. */
async function serve(options: { clientJobs?: number } = {}) {
  const arrivals = await start(options)
  const app = Fastify()
  opened.push(app)
  app.setValidatorCompiler(validatorCompiler)
  app.setSerializerCompiler(serializerCompiler)
  handleErrors(app)
  addTriggerRoutes(app, arrivals)
  addEventRoutes(app, arrivals)
  const at = await app.listen({ host: '127.0.0.1', port: 0 })
  const call = async (method: string, path: string, body?: unknown, headers: Record<string, string> = {}) => {
    const answer = await fetch(`${at}${path}`, {
      method,
      headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
      body: body === undefined ? undefined : JSON.stringify(body),
    })
    const text = await answer.text()
    return {
      status: answer.status,
      headers: answer.headers,
      body: text === '' ? undefined : JSON.parse(text),
    }
  }
  return { ...arrivals, call }
}

test('Event Grid is told, by both handshakes, that it may send', async () => {
  const { call } = await serve()
  const event = {
    ...{
      id: '1',
      topic: '/subscriptions/0',
      subject: '',
      eventTime: '2026-03-01T09:30:00Z',
      dataVersion: '1',
    },
    eventType: 'Microsoft.EventGrid.SubscriptionValidationEvent',
    data: {
      validationCode: '512d38b6-c7b8-40c8-89fe-f46f9e9622b6',
      validationUrl: 'http://127.0.0.1:1/never-fetched',
    },
  }
  expect(
    await call('POST', '/v1/events', [event], { 'aeg-event-type': 'SubscriptionValidation' }),
  ).toMatchObject({
    status: 200,
    body: { validationResponse: '512d38b6-c7b8-40c8-89fe-f46f9e9622b6' },
  })
  const asked = await call('OPTIONS', '/v1/events', undefined, {
    'webhook-request-origin': 'eventgrid.azure.net',
    'webhook-request-rate': '120',
  })
  expect(asked.status).toBe(200)
  expect(asked.headers.get('webhook-allowed-origin')).toBe('eventgrid.azure.net')
  expect(asked.headers.get('webhook-allowed-rate')).toBe('*')
  expect((await call('OPTIONS', '/v1/events')).status).toBe(400)
})

test('events that are sent start jobs, many at once and again, in both schemas', async () => {
  const { call, land, sources } = await serve()
  const [a, b] = [await land('in/a.mp4'), await land('in/b.mp4')]
  const batch = [
    blobCreated(a),
    blobCreated(await land('in/notes.txt')),
    blobCreated('http://elsewhere.example/in/x.mp4'),
  ]
  expect(await call('POST', '/v1/events', batch)).toMatchObject({
    ...{ status: 200, body: { events: 3, outcomes: { started: 1, ignored: 2 } } },
  })
  expect(await call('POST', '/v1/events', batch)).toMatchObject({
    ...{ status: 200, body: { events: 3, outcomes: { known: 1, ignored: 2 } } },
  })
  const cloud = { 'content-type': 'application/cloudevents+json; charset=utf-8' }
  expect(await call('POST', '/v1/events', cloudBlobCreated(b), cloud)).toMatchObject({ status: 200 })
  const many = { 'content-type': 'application/cloudevents-batch+json' }
  expect(await call('POST', '/v1/events', [cloudBlobCreated(b)], many)).toMatchObject({
    ...{ status: 200, body: { outcomes: { known: 1 } } },
  })
  expect(await sources()).toEqual(['in/a.mp4', 'in/b.mp4'])
})

test('what is no event is refused, and what has no room is to be sent again', async () => {
  const { call, land, jobs } = await serve({ clientJobs: 1 })
  for (const body of [{}, [], [{ id: '1' }], 'event', null])
    expect(await call('POST', '/v1/events', body)).toMatchObject({
      status: 400,
      body: { code: 'bad-events' },
    })
  const big = [blobCreated(await land('in/a.mp4')), { filler: 'x'.repeat(1 << 20) }]
  expect(await call('POST', '/v1/events', big)).toMatchObject({ status: 413, body: { detail: /1024 KiB/ } })
  const manyEvents = Array.from({ length: 1_001 }, () => ({ specversion: '1.0', type: 'x' }))
  expect(await call('POST', '/v1/events', manyEvents)).toMatchObject({ status: 400 })
  expect(await jobs()).toEqual([])
  await call('POST', '/v1/events', blobCreated(await land('in/a.mp4')))
  const full = await call('POST', '/v1/events', blobCreated(await land('in/b.mp4')))
  expect(full).toMatchObject({ status: 429, body: { code: 'too-much-queued' } })
  expect(Number(full.headers.get('retry-after'))).toBeGreaterThan(0)
})

test('rules are read, set, tried, and refused where a job by them would be', async () => {
  const { call, media, system, land } = await serve()
  await system.remove([layout.triggerRules])
  expect((await call('GET', '/v1/triggers')).body).toMatchObject({
    ...{ byDefault: true, rules: [{ name: 'videos', prefix: 'in/', job: { model: 'starry-night' } }] },
  })
  const rules = {
    rules: [
      { name: 'drafts', prefix: 'in/drafts/', job: null },
      {
        ...videos,
        job: { model: 'passthrough', output: { name: 'out/{dir}/{name}.mkv', container: 'mkv' } },
      },
    ],
  }
  expect(await call('PUT', '/v1/triggers', rules)).toMatchObject({ status: 200, body: { byDefault: false } })
  expect((await call('GET', '/v1/triggers')).body).toMatchObject({ ...rules, byDefault: false })
  const tried = async (name: string) => (await call('POST', '/v1/triggers/test', { name })).body
  expect(await tried('in/sea/a.mp4')).toMatchObject({
    rule: 'videos',
    request: { source: { url: media.url('in/sea/a.mp4') }, output: { url: media.url('out/sea/a.mkv') } },
  })
  expect(await tried('in/drafts/a.mp4')).toEqual({
    rule: 'drafts',
    request: null,
    why: 'the rule starts none',
  })
  expect(await tried('in/a.txt')).toMatchObject({ rule: null, why: 'no rule takes it' })
  expect(await tried('in/a.trigger.json')).toMatchObject({ why: 'the rules take no trigger files' })
  expect(await tried('out/a.mp4')).toMatchObject({ rule: null, why: 'it is not under in/' })

  const refused = async (rule: object) =>
    await call('PUT', '/v1/triggers', { rules: [{ name: 'r', ...rule }] })
  expect(await refused({ job: { model: 'van-gogh' } })).toMatchObject({
    ...{ status: 422, body: { detail: /^The rule r: .*van-gogh/ } },
  })
  expect(await refused({ job: { model: 'passthrough', output: { name: 'jobs/{name}' } } })).toMatchObject({
    ...{ status: 422, body: { code: 'reserved-name' } },
  })
  await land('styles/a.jpg')
  expect(await refused({ job: { model: 'passthrough', style: { name: 'styles/a.jpg' } } })).toMatchObject({
    ...{ status: 422, body: { code: 'no-style' } },
  })
  expect(await refused({ prefix: 'out/', job: null })).toMatchObject({ status: 400 })
  // What was refused has changed nothing.
  expect((await call('GET', '/v1/triggers')).body.rules).toHaveLength(2)
})
