import { Registry } from 'prom-client'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { createVmssFleet } from '../../src/autoscaler/fleets/vmss.ts'
import { createFleetMetrics } from '../../src/autoscaler/metrics.ts'
import { createTick } from '../../src/autoscaler/tick.ts'
import { createBacklog } from '../../src/shared/backlog.ts'
import { createFleetSettings } from '../../src/shared/fleet-settings.ts'
import { FleetView, type WorkerRecord } from '../../src/shared/fleet.ts'
import { createJobStatuses } from '../../src/shared/job-status.ts'
import { openQueue } from '../../src/shared/open-queue.ts'
import { createRates } from '../../src/shared/rates.ts'
import { createWorkerRegistry } from '../../src/shared/worker-registry.ts'
import { type FakeArmOptions, startFakeArm } from '../support/fake-arm.ts'
import { type TestServices, silent, startServices } from '../support/services.ts'
import { noLimits } from '../support/vmss-fleet.ts'
import { aWorker } from '../support/workers.ts'

/** Whole turns of the autoscaler on a scale set: what it sees there, and what its machines' workers say of themselves. */
let services: TestServices
const closing: (() => Promise<unknown>)[] = []
beforeAll(async () => (services = await startServices()))
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close()
})
afterAll(async () => await services.stop())

const signal = new AbortController().signal
const orchestrations = ['Uniform', 'Flexible'] as const

async function start(options: FakeArmOptions = {}) {
  const arm = await startFakeArm(options)
  const redis = services.connect()
  const prefix = services.prefix()
  const { vmssId, endpoint, credential } = arm
  let skew = 0
  const now = () => Date.now() + skew
  const fleet = createVmssFleet({
    ...{ vmssId, endpoint, credential, log: silent },
    ...{ limits: noLimits, pollEveryMs: 0, now },
  })
  const registry = createWorkerRegistry(redis, prefix)
  const batches = openQueue('batch', { connection: redis, prefix })
  const backlog = createBacklog(redis, prefix)
  const statuses = createJobStatuses(redis, prefix)
  const rates = createRates(redis, prefix)
  const bounds = { min: 0, max: 10, ceiling: 10 }
  const metrics = new Registry()
  const tick = createTick({
    ...{ redis, prefix, fleet, registry, log: silent },
    settings: createFleetSettings(await services.container(), bounds),
    metrics: createFleetMetrics(metrics),
    demand: { backlog, statuses, rates, batches },
    ...{ backlogSeconds: 100, startSeconds: 1, workersPerInstance: 1, clientShare: 1 },
    handSizeMs: 60_000,
  })
  closing.push(arm.stop, fleet.close, async () => await batches.close())
  return {
    ...{ arm, registry, metrics, tick: async () => await tick(signal) },
    /** Time goes by, for the fleet. */
    pass: (ms: number) => void (skew += ms),
    /** So many seconds of work for one worker come in, or there is none left. */
    async demand(seconds: number) {
      const model = 'm@1'
      await rates.note({ model, size: '8x8', device: 'cpu' }, { frames: 100, seconds: 100, setUpSeconds: 0 })
      await statuses.create({ id: 'a-job', createdAt: 1, model, source: 'a' })
      await backlog.drop('a-job')
      await batches.drain()
      if (seconds === 0) return
      await backlog.put('a-job', 'me', seconds)
      await statuses.advance('a-job', 'scoring', { framesTotal: seconds, batchesTotal: 20, size: '8x8' })
      await batches.addBulk(
        Array.from({ length: 20 }, (_, i) => ({ name: 'batch', data: {}, opts: { jobId: `a-job.${i}` } })),
      )
    },
    async say(names: string[], more: Partial<WorkerRecord>) {
      for (const name of names) await registry.beat(aWorker(`${name}/1`, more))
    },
    view: async () => FleetView.parse(JSON.parse((await redis.get(`${prefix}:fleet:view`)) ?? 'null')),
  }
}

test('from nothing to what the work needs, a machine that is taken away is replaced, and idle ones go by name', async () => {
  const { arm, registry, tick, demand, say } = await start()
  expect(await tick()).toMatchObject({ instances: 0, target: 0 })
  await demand(300)
  expect(await tick()).toMatchObject({ target: 3 })
  expect(arm.set.capacity()).toBe(3)
  arm.set.settle()
  await say(['fleet_0', 'fleet_1', 'fleet_2'], { state: 'busy' })
  expect(await tick()).toMatchObject({ instances: 3, target: 3, byHand: null, error: null })

  // It says so before it goes, and another is on its way by then.
  await say(['fleet_1'], { state: 'draining', leaving: 'Preempt of this machine' })
  await tick()
  expect(arm.set.capacity()).toBe(4)
  arm.set.settle()
  arm.set.evict('fleet_1')
  await registry.leave('fleet_1/1')
  await say(['fleet_3'], { state: 'busy' })
  expect(await tick()).toMatchObject({ instances: 3, target: 3, byHand: null })
  expect(arm.set.names()).toEqual(['fleet_0', 'fleet_2', 'fleet_3'])

  await demand(0)
  await say(['fleet_0', 'fleet_2'], { state: 'idle', since: Date.now() - 60_000 })
  await tick()
  expect((await registry.held()).toSorted()).toEqual(['fleet_0', 'fleet_2'])
  expect(arm.sent('POST', '/delete')).toHaveLength(0)
  await say(['fleet_0'], { state: 'held' })
  await tick()
  expect(arm.sent('POST', '/delete').map(({ body }) => JSON.parse(body) as unknown)).toEqual([
    { instanceIds: ['0'] },
  ])
  arm.set.settle()
  await tick()
  expect(await registry.held()).toEqual(['fleet_2'])
  expect(arm.set.names()).toEqual(['fleet_2', 'fleet_3'])
  expect(arm.sent('PATCH')).toHaveLength(2)
})

test.each(orchestrations)('a size that somebody set at the %s set is kept, not fought', async (mode) => {
  const { arm, tick, demand, say } = await start({ orchestrationMode: mode, capacity: 2 })
  await demand(150)
  await say(arm.set.names(), { state: 'busy' })
  await tick()
  arm.set.setCapacity(5)
  await say(arm.set.names().slice(2), { state: 'idle', since: Date.now() - 60_000 })
  expect(await tick()).toMatchObject({ instances: 5, target: 5, byHand: { size: 5 } })
  expect(await tick()).toMatchObject({ instances: 5, target: 5, byHand: { size: 5 } })
  expect(arm.sent('PATCH')).toHaveLength(0)
  expect(arm.sent('POST', '/delete')).toHaveLength(0)
})

test.each(orchestrations)('fewer, too, on a %s set whose machines nobody takes away', async (mode) => {
  const { arm, tick, demand, say } = await start({
    orchestrationMode: mode,
    priority: 'Regular',
    capacity: 4,
  })
  await demand(350)
  await say(arm.set.names(), { state: 'busy' })
  expect(await tick()).toMatchObject({ instances: 4, target: 4, byHand: null })
  arm.set.setCapacity(2)
  expect(await tick()).toMatchObject({ instances: 2, target: 2, byHand: { size: 2 } })
  expect(await tick()).toMatchObject({ target: 2, byHand: { size: 2 } })
  expect(arm.sent('PATCH')).toHaveLength(0)
})

test.each(orchestrations)('a spot machine of a %s set that goes unannounced is replaced', async (mode) => {
  const { arm, tick, demand, say, pass } = await start({ orchestrationMode: mode, capacity: 3 })
  await demand(300)
  await say(arm.set.names(), { state: 'busy' })
  await tick()
  arm.set.evict(arm.set.names()[1] ?? '')
  const notByHand = { target: 3, byHand: null }
  expect(await tick()).toMatchObject(notByHand)
  pass(16_000)
  expect(await tick()).toMatchObject(notByHand)
  arm.set.settle()
  expect(arm.set.names()).toHaveLength(3)
  await say(arm.set.names(), { state: 'busy' })
  const asked = arm.sent('PATCH').length
  for (let turn = 0; turn < 3; turn++) {
    expect(await tick()).toMatchObject({ instances: 3, ...notByHand })
    pass(16_000)
  }
  expect(arm.sent('PATCH')).toHaveLength(asked)
})

test('a quota is in the view for as long as growth waits, and so is what the identity may not do', async () => {
  const { arm, tick, demand, view, metrics } = await start({ coreQuota: 11 })
  await demand(500)
  await tick()
  expect(arm.set.capacity()).toBe(2)
  expect((await view()).error).toMatch(
    /^2 of 5 machines were asked for. Azure's quota is used up: .*Current Limit: 11/,
  )
  arm.set.settle()
  const asked = arm.sent('PATCH').length
  await tick()
  expect(arm.sent('PATCH')).toHaveLength(asked)
  expect((await view()).error).toContain("Azure's quota is used up")

  const failed = async () => await metrics.getSingleMetricAsString('framefleet_fleet_ticks_failed_total')
  expect(await failed()).toMatch(/_total 0$/m)
  arm.forbid('read', 'fleet')
  await expect(tick()).rejects.toThrow(/Virtual Machine Contributor/)
  expect(await failed()).toMatch(/_total 1$/m)
  expect((await view()).error).toMatch(/Virtual Machine Contributor on the scale set fleet/)
})
