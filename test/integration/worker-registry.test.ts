import { once } from 'node:events'
import { pino } from 'pino'
import { expect, test } from 'vitest'
import type { WorkerState } from '../../src/shared/fleet.ts'
import type { Logger } from '../../src/shared/log.ts'
import {
  type WorkerRegistry,
  createWorkerRegistry,
  fleetKeyTypes,
  registryTtlMs,
} from '../../src/shared/worker-registry.ts'
import { createAttendance } from '../../src/worker/attendance.ts'
import { aWorker } from '../support/workers.ts'
import { silent } from '../support/services.ts'
import { useServices } from '../support/use-services.ts'

const services = useServices()

function aRegistry() {
  const redis = services.connect()
  const prefix = services.prefix()
  return { redis, prefix, registry: createWorkerRegistry(redis, prefix) }
}

test('workers that beat are listed as they said; one that leaves is gone at once', async () => {
  const { registry } = aRegistry()
  const [a, b] = [aWorker('a/1'), aWorker('b/2', { state: 'busy', device: 'cuda', models: ['m@1 64x64'] })]
  expect(await registry.beat(b)).toEqual({ held: false })
  await registry.beat(a)
  expect(await registry.list()).toEqual([a, b])
  const later = { ...a, state: 'draining' as const, beatAt: a.beatAt + 1, framesPerSecond: null }
  await registry.beat(later)
  expect(await registry.list()).toEqual([later, b])
  await registry.leave('a/1')
  expect(await registry.list()).toEqual([b])
})

test('a worker that says nothing any more is gone, and so is every trace of it', async () => {
  const { redis, prefix, registry } = aRegistry()
  await registry.beat(aWorker('a/1'))
  await registry.beat(aWorker('b/2'))
  expect(await redis.pttl(`${prefix}:worker:a/1`)).toBeGreaterThan(registryTtlMs - 5_000)
  expect(await redis.pttl(`${prefix}:worker:a/1`)).toBeLessThanOrEqual(registryTtlMs)
  // Its time is over.
  await redis.pexpire(`${prefix}:worker:a/1`, 0)
  expect((await registry.list()).map(({ id }) => id)).toEqual(['b/2'])
  expect(await redis.zrange(`${prefix}:workers`, '0', '-1')).toEqual(['b/2'])
  // Where nobody ever looks, the dead are forgotten too.
  const now = Date.now()
  await redis.zadd(`${prefix}:workers`, now - 7_200_000, 'old/3')
  await registry.beat(aWorker('b/2', { beatAt: now }))
  expect(await redis.zrange(`${prefix}:workers`, '0', '-1')).toEqual(['b/2'])
  expect(await redis.pttl(`${prefix}:workers`)).toBeGreaterThan(0)
})

test("workers count by Redis' clock: one whose own is hours off neither drives others out nor is gone", async () => {
  const { redis, prefix, registry } = aRegistry()
  const now = Date.now()
  for (const id of ['a/1', 'b/2']) await registry.beat(aWorker(id))
  await registry.beat(aWorker('behind/3', { beatAt: now - 7_200_000 }))
  await registry.beat(aWorker('ahead/4', { beatAt: now + 7_200_000 }))
  const ids = ['a/1', 'ahead/4', 'b/2', 'behind/3']
  expect((await registry.list()).map(({ id }) => id)).toEqual(ids)
  expect((await redis.zrange(`${prefix}:workers`, '0', '-1')).toSorted()).toEqual(ids)
  const clocks = await registry.clocksAhead(['ahead/4', 'nobody', 'behind/3'])
  expect(clocks.map((ms) => Math.round(ms / 60_000))).toEqual([120, 0, -120])
})

test('an instance is held until it is recalled: all of its workers hear it', async () => {
  const { redis, prefix, registry } = aRegistry()
  const workers = [aWorker('a/1'), aWorker('a/2'), aWorker('b/3')]
  const hear = async () =>
    await Promise.all(workers.map(async (worker) => (await registry.beat(worker)).held))
  await registry.hold(['a', 'c'])
  const since = await redis.hget(`${prefix}:held`, 'a')
  expect(Number(since)).toBeGreaterThan(Date.now() - 60_000)
  expect(await hear()).toEqual([true, true, false])
  // Said again, it is held since when it was told first.
  await registry.hold(['a'])
  expect(await redis.hget(`${prefix}:held`, 'a')).toBe(since)
  expect((await registry.held()).toSorted()).toEqual(['a', 'c'])
  await registry.recall(['a', 'nobody'])
  await registry.recall([])
  await registry.hold([])
  expect(await registry.held()).toEqual(['c'])
  expect(await hear()).toEqual([false, false, false])
})

test('what others wrote there is nobody, and heals with the next beat', async () => {
  const { redis, prefix, registry } = aRegistry()
  await registry.beat(aWorker('a/1'))
  await registry.beat(aWorker('b/2'))
  await registry.beat(aWorker('c/3'))
  await redis.del(`${prefix}:worker:a/1`)
  await redis.set(`${prefix}:worker:a/1`, 'mine')
  await redis.hset(`${prefix}:worker:b/2`, 'state', 'what')
  expect((await registry.list()).map(({ id }) => id)).toEqual(['c/3'])
  await registry.beat(aWorker('a/1'))
  await registry.beat(aWorker('b/2'))
  expect((await registry.list()).map(({ id }) => id)).toEqual(['a/1', 'b/2', 'c/3'])
})

test('a thousand workers are listed in a few trips', async () => {
  const { redis, registry } = aRegistry()
  const ids = Array.from({ length: 1_000 }, (_, i) => `vm_${i}/1`)
  await Promise.all(ids.map(async (id) => await registry.beat(aWorker(id))))
  expect((await registry.list()).map(({ id }) => id)).toEqual(ids.toSorted())
  expect(redis.status).toBe('ready')
})

test('the fixed keys are those that are written', async () => {
  const { redis, prefix, registry } = aRegistry()
  await registry.beat(aWorker('a/1'))
  await registry.hold(['a'])
  const types = fleetKeyTypes(prefix)
  for (const key of [`${prefix}:workers`, `${prefix}:held`]) expect(await redis.type(key)).toBe(types[key])
})

/** Hands without a queue, and what says in the registry what they do. */
function attending(registry: WorkerRegistry, log: Logger = silent, everyMs = 50) {
  let state: WorkerState = 'idle'
  const set = (now: WorkerState) => {
    state = now
    attendance.told()
  }
  const attendance = createAttendance({
    ...{ registry, id: 'a/1', instance: 'a', log, framesPerSecond: () => 12.5, everyMs },
    hands: {
      state: () => state,
      hold: () => state !== 'held' && set('held'),
      recall: () => state === 'held' && set('idle'),
    },
  })
  return { attendance, set, state: () => state }
}

test('a worker says what it does as it changes, is held and recalled as it hears, and takes its record along', async () => {
  const { redis, prefix, registry } = aRegistry()
  const { attendance, set, state } = attending(registry)
  const said = async (wanted: Record<string, unknown>) => {
    for (;;) {
      const [record] = await registry.list()
      if (record && Object.entries(wanted).every(([name, value]) => record[name as never] === value))
        return record
    }
  }
  await registry.hold(['a'])
  await attendance.open()
  // Before anything is taken it knows that it is held.
  expect(state()).toBe('held')
  await said({ id: 'a/1', instance: 'a', state: 'held', device: null, batches: 0, framesPerSecond: 12.5 })
  await registry.recall(['a'])
  const idle = await said({ state: 'idle' })

  set('busy')
  const busy = await said({ state: 'busy' })
  expect(busy.since).toBeGreaterThan(idle.since)
  const result = { frames: 3, replaced: [], through: [], ms: {}, device: 'cpu', size: '64x64' }
  for (const model of ['m@1', 'm@2', 'm@1']) attendance.note({ ...result, model })
  expect(await said({ batches: 3, device: 'cpu' })).toMatchObject({
    ...{ models: ['m@1 64x64', 'm@2 64x64'], since: busy.since, startedAt: busy.startedAt },
  })

  // All that Redis held is gone, the hold with it.
  await registry.hold(['a'])
  await said({ state: 'held' })
  await redis.flushdb()
  expect((await said({ state: 'idle' })).batches).toBe(3)

  attendance.leaving('Preempt of this machine')
  attendance.leaving('SIGTERM')
  await said({ leaving: 'Preempt of this machine' })
  await attendance.leave()
  expect(await registry.list()).toEqual([])
  expect(await redis.keys(`${prefix}:worker*`)).toEqual([])
})

test('a worker that finds no Redis asks until it is answered, says so once, and goes on when Redis is back', async () => {
  const redis = services.connect()
  const prefix = services.prefix()
  const seen = createWorkerRegistry(services.connect(), prefix)
  const lines: string[] = []
  const heard = new EventTarget()
  const log = pino({}, { write: (line) => void (lines.push(line), heard.dispatchEvent(new Event('line'))) })
  const { attendance } = attending(createWorkerRegistry(redis, prefix), log)
  redis.disconnect()
  const line = once(heard, 'line')
  const open = attendance.open()
  await line
  expect(await seen.list()).toEqual([])
  await redis.connect()
  await open
  expect(await seen.list()).toMatchObject([{ id: 'a/1' }])
  expect(lines.map((each) => (JSON.parse(each) as { msg: string }).msg)).toEqual([
    'the fleet does not hear of this worker',
    'the fleet hears of this worker again',
  ])
  await attendance.leave()
  expect(await seen.list()).toEqual([])
})

test('a worker whose state has just changed does not wait for its next beat to leave', async () => {
  const { registry } = aRegistry()
  const { attendance, set } = attending(registry, silent, 3_600_000)
  await attendance.open()
  set('busy')
  await attendance.leave()
  expect(await registry.list()).toEqual([])
})
