import Fastify from 'fastify'
import { serializerCompiler, validatorCompiler } from 'fastify-type-provider-zod'
import { pino } from 'pino'
import { expect, test } from 'vitest'
import { addFleetRoutes } from '../../src/producer/fleet-routes.ts'
import { handleErrors } from '../../src/producer/problem.ts'
import { createFleetSettings, fleetBounds } from '../../src/shared/fleet-settings.ts'
import { fleetViewKey, readFleetView } from '../../src/shared/fleet-view.ts'
import type { FleetView, WorkerRecord } from '../../src/shared/fleet.ts'
import { layout } from '../../src/shared/layout.ts'
import { createRates } from '../../src/shared/rates.ts'
import { createWorkerRegistry } from '../../src/shared/worker-registry.ts'
import { useServices } from '../support/use-services.ts'

const services = useServices()

const bounds = { min: 0, max: 4, ceiling: 100 }
const defaults = { min: 0, max: 4, size: null, paused: false }

/** The routes over a Redis and a storage of their own. */
async function fleetApi() {
  const [system, redis, prefix] = [await services.container(), services.connect(), services.prefix()]
  const warnings: string[] = []
  const log = pino({}, { write: (line: string) => void warnings.push(line) })
  const settings = createFleetSettings(system, bounds, log)
  const [workers, rates] = [createWorkerRegistry(redis, prefix), createRates(redis, prefix)]
  const app = Fastify()
  app.setValidatorCompiler(validatorCompiler)
  app.setSerializerCompiler(serializerCompiler)
  handleErrors(app)
  app.decorateRequest('client', 'me')
  addFleetRoutes(app, { settings, workers, rates, view: async () => await readFleetView(redis, prefix) })
  return {
    ...{ system, redis, prefix, warnings, settings, workers, rates },
    get: async () => (await app.inject({ method: 'GET', url: '/v1/fleet' })).json(),
    async put(payload: object) {
      const answer = await app.inject({ method: 'PUT', url: '/v1/fleet', payload })
      return { status: answer.statusCode, body: answer.json() }
    },
  }
}

const worker = (id: string, beatAt: number): WorkerRecord => ({
  ...{ id, instance: `vm-${id}`, state: 'idle', since: 1, startedAt: 1, beatAt, device: 'cuda' },
  ...{ models: ['m@1 640x360'], framesPerSecond: 30, batches: 2, leaving: null },
})

test('what is set takes the place of what was set, and the rest stays', async () => {
  const { get, put, settings } = await fleetApi()
  expect(await get()).toEqual({
    ...{ settings: defaults, autoscaler: null, workers: [], workersTotal: 0, rates: [] },
  })
  expect(await put({ min: 1, max: 8 })).toEqual({ status: 200, body: { ...defaults, min: 1, max: 8 } })
  expect(await put({ size: 5, paused: true })).toMatchObject({
    status: 200,
    body: { min: 1, max: 8, size: 5 },
  })
  // As the autoscaler reads it.
  expect(await settings.read()).toEqual({ min: 1, max: 8, size: 5, paused: true })
  expect(await put({ size: null })).toMatchObject({ body: { min: 1, max: 8, size: null, paused: true } })
  expect((await get()).settings).toEqual({ min: 1, max: 8, size: null, paused: true })
})

test.each<[string, object, number, string | RegExp]>([
  [
    'the least above the most',
    { min: 5 },
    422,
    'min must not be above max: min would be 5, max 4, size auto.',
  ],
  [
    'a size out of bounds',
    { size: 9 },
    422,
    'size must lie between min and max: min would be 0, max 4, size 9.',
  ],
  [
    'more than the ceiling',
    { max: 101 },
    422,
    /^max must not be above 100, the ceiling of this fleet \(FRAMEFLEET_FLEET_CEILING\)\.$/,
  ],
  ['a size above the ceiling', { size: 5_000, max: 50 }, 422, /^size must not be above 100, [^.]+\.$/],
  ['less than none', { min: -1 }, 400, /^body\.?min: |^min: /],
  ['half a machine', { max: 1.5 }, 400, /^max: /],
  ['more than there may ever be', { max: 10_001 }, 400, /^max: /],
  ['a word that is none of ours', { mni: 1 }, 400, /"mni"/],
  ['another kind of value', { paused: 'yes' }, 400, /^paused: /],
])('refused in one sentence: %s', async (_, change, status, sentence) => {
  const { put, settings } = await fleetApi()
  const answer = await put(change)
  expect(answer).toMatchObject({ status, body: { status, type: /^urn:framefleet:/ } })
  expect(answer.body.detail).toMatch(sentence)
  expect(await settings.read()).toEqual(defaults)
})

test('of two who change different things at once nobody loses', async () => {
  const { system, settings } = await fleetApi()
  await settings.change({ max: 100 })
  const others = Array.from({ length: 4 }, () => createFleetSettings(system, bounds))
  const changes = [{ min: 1 }, { max: 50 }, { size: 7 }, { paused: true }]
  await Promise.all(others.map(async (each, i) => await each.change(changes[i] ?? {})))
  expect(await settings.read()).toEqual({ min: 1, max: 50, size: 7, paused: true })
})

test('what nobody set follows the environment of each role, which gives way to what was set', async () => {
  const { system, settings } = await fleetApi()
  const larger = createFleetSettings(system, { min: 1, max: 20, ceiling: 100 })
  expect(await settings.change({ paused: true })).toEqual({ ...defaults, paused: true })
  expect(await larger.read()).toEqual({ min: 1, max: 20, size: null, paused: true })
  await larger.change({ min: 6 })
  expect(await larger.read()).toMatchObject({ min: 6, max: 20 })
  expect(await settings.read()).toMatchObject({ min: 6, max: 6 })
  await larger.change({ min: 0, max: 9, size: 8 })
  expect(await settings.read()).toEqual({ min: 0, max: 9, size: 8, paused: true })
})

test('whatever was set, nobody heeds more than the ceiling of its environment', async () => {
  const { system, settings } = await fleetApi()
  await settings.change({ min: 50, max: 90, size: 80 })
  const lower = createFleetSettings(system, { min: 0, max: 4, ceiling: 10 })
  expect(await lower.read()).toMatchObject({ min: 10, max: 10, size: 10 })
})

test('settings that can not be read are told of once, and the defaults hold until somebody sets them', async () => {
  const { system, settings, warnings, put } = await fleetApi()
  await system.write(layout.fleetSettings, Buffer.from('{"min": 3'))
  expect(await settings.read()).toEqual(defaults)
  expect(await settings.read()).toEqual(defaults)
  expect(warnings).toHaveLength(1)
  await system.write(layout.fleetSettings, Buffer.from('{"min": 3, "max": 1}'))
  expect(await settings.read()).toEqual(defaults)
  expect(warnings).toHaveLength(2)
  expect(await put({ max: 6 })).toMatchObject({ status: 200, body: { min: 0, max: 6 } })
  expect(await settings.read()).toEqual({ ...defaults, max: 6 })
})

test('the autoscaler, the workers and what they measured are shown', async () => {
  const { get, redis, prefix, workers, rates } = await fleetApi()
  const view: FleetView = {
    ...{
      at: new Date().toISOString(),
      fleet: 'vmss',
      instances: 2,
      target: 3,
      why: 'drain 3600 s in 1200 s',
    },
    ...{ demandSeconds: 3_600, startSeconds: 150, byHand: null, error: null },
  }
  await redis.set(fleetViewKey(prefix), JSON.stringify(view))
  await workers.beat(worker('a', Date.now()))
  await rates.note({ model: 'm@1', size: '640x360', device: 'cuda' }, { frames: 10, seconds: 1 })
  expect(await get()).toMatchObject({
    autoscaler: view,
    workers: [{ id: 'a', instance: 'vm-a', state: 'idle' }],
    workersTotal: 1,
    rates: [{ model: 'm@1', size: '640x360', device: 'cuda', secondsPerFrame: 0.1, batches: 1 }],
  })
  for (const text of ['{"at": 1}', 'not JSON']) {
    await redis.set(fleetViewKey(prefix), text)
    expect(await get()).toMatchObject({ autoscaler: null, workersTotal: 1 })
  }
})

test('of very many workers those are shown that beat last', async () => {
  const { get, workers } = await fleetApi()
  const now = Date.now()
  await Promise.all(
    Array.from({ length: 1_005 }, async (_, i) => await workers.beat(worker(`w-${i}`, now + i))),
  )
  const shown = await get()
  expect(shown.workersTotal).toBe(1_005)
  const ids = new Set(shown.workers.map(({ id }: WorkerRecord) => id))
  expect(ids.size).toBe(1_000)
  expect([0, 4, 5, 1_004].map((i) => ids.has(`w-${i}`))).toEqual([false, false, true, true])
})

test('the defaults of a role must go together', () => {
  const settings = { FRAMEFLEET_FLEET_MIN: 2, FRAMEFLEET_FLEET_MAX: 6, FRAMEFLEET_FLEET_CEILING: 6 }
  expect(fleetBounds(settings)).toEqual({ min: 2, max: 6, ceiling: 6 })
  expect(() => fleetBounds({ ...settings, FRAMEFLEET_FLEET_MIN: 7 })).toThrow(
    'settings: FRAMEFLEET_FLEET_MIN must not be above FRAMEFLEET_FLEET_MAX',
  )
  expect(() => fleetBounds({ ...settings, FRAMEFLEET_FLEET_CEILING: 5 })).toThrow(
    'settings: FRAMEFLEET_FLEET_MAX must not be above FRAMEFLEET_FLEET_CEILING',
  )
})
