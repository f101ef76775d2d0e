import { Queue } from 'bullmq'
import { Registry } from 'prom-client'
import { expect, test } from 'vitest'
import { createActs } from '../../src/autoscaler/act.ts'
import { type Fleet, type FleetInstance, FleetRefusal } from '../../src/autoscaler/fleet.ts'
import { createMemory, nothingKnown } from '../../src/autoscaler/memory.ts'
import { createFleetMetrics } from '../../src/autoscaler/metrics.ts'
import { createTick } from '../../src/autoscaler/tick.ts'
import { createBacklog } from '../../src/shared/backlog.ts'
import { type FleetSettings, FleetView, type WorkerState } from '../../src/shared/fleet.ts'
import { createJobStatuses } from '../../src/shared/job-status.ts'
import { createRates } from '../../src/shared/rates.ts'
import { createWorkerRegistry } from '../../src/shared/worker-registry.ts'
import { silent } from '../support/services.ts'
import { aWorker } from '../support/workers.ts'
import { useServices } from '../support/use-services.ts'

const services = useServices()

const { signal } = new AbortController()

/** An autoscaler over machines that are names in a list, with a line and a registry in Redis; ten seconds are one machine's work. */
async function autoscaler({ clientShare = 1 } = {}) {
  const [redis, prefix] = [services.connect(), services.prefix()]
  const registry = createWorkerRegistry(redis, prefix)
  const backlog = createBacklog(redis, prefix)
  const statuses = createJobStatuses(redis, prefix)
  const rates = createRates(redis, prefix)
  const batches = new Queue('batch', { connection: redis, prefix })
  const redisMs = async () => {
    const [seconds = 0, micros = 0] = await redis.time()
    return 1_000 * seconds + Math.floor(micros / 1_000)
  }
  const measure = async (device: string, seconds: number) => {
    await rates.note(
      { model: 'm@1', size: '16x16', device },
      { frames: 10, seconds: 10 * seconds, setUpSeconds: 0 },
    )
    // Which of two was measured last can't be told within one millisecond.
    const noted = await redisMs()
    while ((await redisMs()) === noted);
  }
  await measure('cpu', 1)

  const machines = new Map<string, FleetInstance>()
  const asked: { grow: number[]; remove: string[] } = { grow: [], remove: [] }
  let born = 0
  let refusal: Error | undefined
  let stays: Error | undefined
  const settings: FleetSettings = { min: 0, max: 5, size: null, paused: false }
  const add = () => {
    const name = `vm_${born++}`
    machines.set(name, { name, state: 'running', since: Date.now() })
    return name
  }
  const fleet: Fleet = {
    kind: 'vmss',
    async look() {
      const instances = [...machines.values()]
      return { capacity: instances.filter(({ state }) => state !== 'leaving').length, instances }
    },
    async grow(to) {
      asked.grow.push(to)
      if (refusal) throw refusal
      const isMore = machines.size < to
      while (machines.size < to) add()
      return isMore
    },
    async remove(names) {
      if (stays) throw stays
      const there = names.filter((name) => machines.get(name)?.state !== 'leaving')
      asked.remove.push(...there)
      return there.filter((name) => machines.delete(name))
    },
    close: async () => {},
  }
  const log: string[] = []
  const metrics = new Registry()
  const tick = createTick({
    ...{ redis, prefix, fleet, registry, settings: { read: async () => settings } },
    demand: { backlog, statuses, rates, batches },
    metrics: createFleetMetrics(metrics),
    log: Object.assign(Object.create(silent) as typeof silent, {
      info: (_fields: object, message: string) => void log.push(message),
    }),
    ...{ backlogSeconds: 10, startSeconds: 1, workersPerInstance: 1, clientShare, handSizeMs: 60_000 },
  })
  const beat = async (
    instance: string,
    state: WorkerState,
    more: { leaving?: string; idleMs?: number; device?: string } = {},
  ) =>
    await registry.beat({
      ...{ id: `${instance}/1`, instance, state, since: Date.now() - (more.idleMs ?? 60_000), startedAt: 0 },
      ...{ beatAt: Date.now(), device: more.device ?? 'cpu', models: [], framesPerSecond: null, batches: 1 },
      leaving: more.leaving ?? null,
    })
  return {
    ...{ statuses, backlog, rates },
    ...{ redis, prefix, registry, machines, asked, settings, log, add, beat, batches, measure },
    tick: async () => await tick(signal),
    failed: async () => await metrics.getSingleMetricAsString('framefleet_fleet_ticks_failed_total'),
    refuse: (error?: Error) => (refusal = error),
    refuseRemoval: (error?: Error) => (stays = error),
    /** A job of so many frames, a second each where its model was measured, split into batches of one. */
    async work(
      id: string,
      frames: number,
      {
        client = 'me',
        model = 'm@1',
        split = true,
      }: { client?: string; model?: string; split?: boolean } = {},
    ) {
      await statuses.create({ id, createdAt: Date.now(), model, source: 's', client })
      await backlog.put(id, client, frames)
      if (!split) return
      await statuses.advance(id, 'scoring', { framesTotal: frames, batchesTotal: frames, size: '16x16' })
      await batches.addBulk(
        Array.from({ length: frames }, (_, i) => ({
          name: 'batch',
          data: {},
          opts: { jobId: `${id}.${i}` },
        })),
      )
    },
    async done(id: string) {
      await backlog.drop(id)
      await batches.drain()
    },
    view: async () => FleetView.parse(JSON.parse((await redis.get(`${prefix}:fleet:view`)) ?? 'null')),
  }
}

test('from nothing to what the work needs, and back through holding: nobody at work is removed', async () => {
  const { tick, work, done, machines, beat, registry, asked, view } = await autoscaler()
  expect(await tick()).toMatchObject({ instances: 0, target: 0, why: 'nothing to do' })
  await work('job-00000001', 25)
  expect(await tick()).toMatchObject({ target: 3, demandSeconds: 25, why: '25 s of work in 10 s' })
  expect([...machines.keys()]).toEqual(['vm_0', 'vm_1', 'vm_2'])
  for (const name of machines.keys()) await beat(name, 'busy')
  await tick()
  expect(asked).toEqual({ grow: [3], remove: [] })
  expect(await view()).toMatchObject({ instances: 3, target: 3, fleet: 'vmss', error: null, byHand: null })
  // Three turns, of which two decided something.
  expect((await view()).decisions).toMatchObject([
    { target: 0, why: 'nothing to do' },
    { target: 3, why: '25 s of work in 10 s' },
  ])

  await done('job-00000001')
  await beat('vm_0', 'idle')
  await beat('vm_1', 'idle', { idleMs: 0 })
  await tick()
  expect(await registry.held()).toEqual(['vm_0'])
  expect((await beat('vm_0', 'idle')).held).toBe(true)
  // It has heard it and is not empty yet; then it is.
  await beat('vm_0', 'draining')
  await tick()
  expect(asked.remove).toEqual([])
  await beat('vm_0', 'held')
  await tick()
  expect(asked.remove).toEqual(['vm_0'])
  // It is gone, and nothing of it is left.
  await registry.leave('vm_0/1')
  await tick()
  expect(await registry.held()).toEqual([])
  expect([...machines.keys()]).toEqual(['vm_1', 'vm_2'])
})

test('what there is to do is reckoned by the devices that are there; where nobody is, by the one that worked last', async () => {
  const { tick, work, measure, beat, machines, add, registry } = await autoscaler()
  for (let i = 0; i < 5; i++) await measure('cpu', 1)
  await measure('cuda', 0.1)
  await work('job-00000001', 25)
  expect(await tick()).toMatchObject({ demandSeconds: 2.5, target: 1 })
  const [name = add()] = machines.keys()
  await beat(name, 'busy', { device: 'cpu' })
  expect(await tick()).toMatchObject({ demandSeconds: 25, target: 3 })
  await registry.leave(`${name}/1`)
  await measure('cpu', 1)
  expect(await tick()).toMatchObject({ demandSeconds: 25 })
})

test('rows in line ask for what they take, not for what they weigh, and several models for what each takes', async () => {
  const { tick, statuses, backlog, rates } = await autoscaler()
  const size = '3x1'
  for (const [model, seconds] of [
    ['slow@1', 40],
    ['fast@1', 10],
  ] as const)
    await rates.note({ model, size, device: 'cpu' }, { frames: 10_000, seconds, setUpSeconds: 0 })
  const job = { createdAt: Date.now(), source: 's', client: 'me' }
  await statuses.create({ ...job, id: 'rows', model: 'fast@1, slow@1', paceModels: ['fast@1', 'slow@1'] })
  await backlog.put('rows', 'me', 1)
  await statuses.beginScoring('rows', { frames: 20_000, batches: [10_000, 10_000], size }, new Map())
  expect(await tick()).toMatchObject({ demandSeconds: 50 })
})

test('work that comes back calls back who is held, before anybody is removed or started', async () => {
  const { tick, work, done, beat, registry, asked } = await autoscaler()
  const name = 'vm_0'
  await work('job-00000000', 5)
  await tick()
  await done('job-00000000')
  await beat(name, 'idle')
  await tick()
  expect(await registry.held()).toEqual([name])
  await beat(name, 'held')
  await work('job-00000001', 5)
  expect(await tick()).toMatchObject({ target: 1 })
  expect(await registry.held()).toEqual([])
  // It has not heard it yet, and still says it is held.
  await tick()
  expect(asked).toEqual({ grow: [1], remove: [] })
})

test('a machine that is about to be taken away is replaced at once, and one that failed is removed and replaced', async () => {
  const { tick, work, add, beat, asked, machines } = await autoscaler()
  await work('job-00000001', 20)
  const [doomed, failed] = [add(), add()]
  await beat(doomed, 'busy', { leaving: 'Preempt of this machine' })
  machines.set(failed, { name: failed, state: 'failed', since: Date.now() })
  await tick()
  expect(asked).toEqual({ grow: [], remove: [failed] })
  await tick()
  // Two that work, and the one that is still there for a while.
  expect(asked.grow).toEqual([3])
})

test('one that is leaving for ever holds up no growth, and has not failed', async () => {
  const { tick, work, add, asked, machines, redis, prefix } = await autoscaler()
  const stuck = add()
  machines.set(stuck, { name: stuck, state: 'leaving', since: Date.now() - 3_600_000 })
  await work('job-00000001', 20)
  await tick()
  expect(asked).toEqual({ grow: [2], remove: [] })
  const { failures } = JSON.parse((await redis.get(`${prefix}:fleet:memory`)) ?? '') as { failures: object }
  expect(failures).toEqual({})
})

test('what could not be removed is told, also where growth went well or was refused', async () => {
  const { tick, work, add, machines, refuse, refuseRemoval } = await autoscaler()
  const failed = add()
  machines.set(failed, { name: failed, state: 'failed', since: Date.now() })
  refuseRemoval(new Error('It is protected.'))
  await work('job-00000001', 10)
  expect(await tick()).toMatchObject({ error: 'It is protected.' })
  await work('job-00000002', 30)
  refuse(new FleetRefusal('No quota.', { retryAfterMs: 60_000 }))
  expect(await tick()).toMatchObject({ error: 'It is protected. No quota.' })
  expect(await tick()).toMatchObject({ error: 'It is protected. No quota.' })
})

test('whose worker said that it is held, and says nothing now, is not removed: Redis may have lost its recall', async () => {
  const redis = services.connect()
  const prefix = services.prefix()
  const registry = createWorkerRegistry(redis, prefix)
  const asked: string[][] = []
  const fleet: Fleet = {
    kind: 'vmss',
    look: async () => ({ capacity: 0, instances: [] }),
    grow: async () => true,
    remove: async (names) => (asked.push(names), names),
    close: async () => {},
  }
  const act = createActs({ fleet, registry, memories: createMemory(redis, prefix) })
  const next = { ...nothingKnown, lookedAt: 0, capacity: 2, asked: 2, loose: 0 }
  const wanted = { remove: ['held', 'failed'], held: ['held'], capacity: 2, growth: 0, most: 5 }
  await registry.beat(aWorker('held/1', { instance: 'held', state: 'held' }))
  await act({ ...wanted, now: Date.now() }, next, signal)
  await redis.flushall()
  await act({ ...wanted, now: Date.now() }, next, signal)
  expect(asked).toEqual([['held', 'failed'], ['failed']])
})

test('a size that somebody set at the fleet itself is kept, and one beyond the limits is brought back', async () => {
  const { tick, add, beat, view, asked, registry, log, settings } = await autoscaler()
  await tick()
  const names = [add(), add(), add()]
  for (const name of names) await beat(name, 'idle')
  for (let i = 0; i < 2; i++)
    expect(await tick()).toMatchObject({ target: 3, why: 'the size was set by hand', byHand: { size: 3 } })
  expect(log).toEqual(['the size of the fleet was set by hand: it is kept for a while'])
  expect(Date.parse((await view()).byHand?.until ?? '')).toBeGreaterThan(Date.now() + 50_000)
  // People set it by the API: that holds from now on.
  settings.max = 4
  expect(await tick()).toMatchObject({ target: 0, byHand: null })
  expect(await registry.held()).toEqual(names)
  for (const name of [add(), add(), add()]) await beat(name, 'busy')
  settings.max = 2
  await tick()
  // Six, of which two are allowed: one that is at work is to end that first.
  expect(await registry.held()).toEqual([...names, 'vm_3'])
  expect(asked.grow).toEqual([])
})

test('what the fleet refuses is shown, and not asked again before it says so', async () => {
  const { tick, work, asked, refuse, view, redis, prefix } = await autoscaler()
  await work('job-00000001', 20)
  refuse(new FleetRefusal('The quota of this region is used up.', { retryAfterMs: 60_000 }))
  await tick()
  await tick()
  expect(asked.grow).toEqual([2])
  expect(await view()).toMatchObject({
    target: 2,
    instances: 0,
    error: 'The quota of this region is used up.',
  })
  // All that was remembered is lost: it is asked again.
  refuse()
  await redis.del(`${prefix}:fleet:memory`)
  await redis.lpush(`${prefix}:fleet:memory`, 'not ours')
  expect(await tick()).toMatchObject({ error: null, byHand: null })
  expect(asked.grow).toEqual([2, 2])
})

test('machines that never speak are not removed because Redis was wiped', async () => {
  const { tick, work, add, asked, redis, machines } = await autoscaler()
  await work('job-00000001', 10)
  const name = add()
  machines.set(name, { name, state: 'running', since: Date.now() - 3_600_000 })
  await redis.flushall()
  await tick()
  await tick()
  expect(asked).toEqual({ grow: [], remove: [] })
})

test('machines that have nothing to do are kept while Redis, which was wiped, is being filled again', async () => {
  const { tick, add, beat, redis, registry } = await autoscaler()
  await tick()
  await redis.flushall()
  const name = add()
  await beat(name, 'idle')
  for (let i = 0; i < 2; i++) expect(await tick()).toMatchObject({ target: 0 })
  expect(await registry.held()).toEqual([])
})

test('a job that is not split yet asks for one machine, whatever its bytes may mean, beside those of others', async () => {
  const { tick, work } = await autoscaler()
  await work('job-00000001', 3_000_000, { split: false })
  expect(await tick()).toMatchObject({ demandSeconds: 3_000_000, target: 1, why: 'a job is being split' })
  await work('job-00000002', 20)
  expect(await tick()).toMatchObject({ target: 2, why: '20 s of work in 10 s' })
})

test('a model that nobody has measured asks for a few machines only, beside what is known', async () => {
  const { tick, work, settings } = await autoscaler()
  settings.max = 100
  await work('job-00000001', 1_000, { model: 'new@1' })
  expect(await tick()).toMatchObject({ target: 4, why: '40 s of work in 10 s' })
  await work('job-00000002', 80)
  expect(await tick()).toMatchObject({ target: 12, why: '120 s of work in 10 s' })
})

test('while others wait, the work of one client asks for no more than its share of the fleet', async () => {
  const { tick, work } = await autoscaler({ clientShare: 0.4 })
  await work('job-00000001', 80)
  expect(await tick()).toMatchObject({ target: 5, why: '80 s of work in 10 s; at most 5' })
  await work('job-00000002', 10, { client: 'another' })
  // The 80 s of the one ask for two of the five.
  expect(await tick()).toMatchObject({ demandSeconds: 90, target: 3, why: '30 s of work in 10 s' })
})

test('a turn that fails after its look is counted, and is in the view beside what was seen last', async () => {
  const { tick, add, beat, redis, prefix, view, failed } = await autoscaler()
  await beat(add(), 'idle')
  await tick()
  const open = (await redis.keys(`${prefix}:*`)).filter((key) => key.includes('rates'))
  await redis
    .multi()
    .del(...open)
    .set(open[0] ?? '', 'not ours')
    .exec()
  await expect(tick()).rejects.toThrow(/WRONGTYPE/)
  expect(await view()).toMatchObject({ instances: 1, error: expect.stringContaining('WRONGTYPE') })
  expect(await failed()).toMatch(/_total 1$/m)
})

test('paused: nothing is asked, and it is said; what was to be removed works on', async () => {
  const { tick, work, settings, asked, add, beat, registry } = await autoscaler()
  const name = add()
  await registry.hold([name])
  await beat(name, 'held')
  await work('job-00000001', 20)
  settings.paused = true
  expect(await tick()).toMatchObject({ why: 'paused', target: 1 })
  expect(asked).toEqual({ grow: [], remove: [] })
  expect(await beat(name, 'held')).toEqual({ held: false })
})
