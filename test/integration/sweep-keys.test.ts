import { expect, test } from 'vitest'
import { addBatches, addFlow } from '../../src/producer/flow.ts'
import { openFlows, resumeJob } from '../../src/producer/resume.ts'
import { createSweeper } from '../../src/producer/sweep-queues.ts'
import { backlogKeys } from '../../src/shared/backlog.ts'
import { createJobFiles } from '../../src/shared/job-files.ts'
import { openQueue } from '../../src/shared/open-queue.ts'
import { createQuarantine } from '../../src/shared/quarantine.ts'
import { entryIds } from '../../src/shared/queues.ts'
import { createRates } from '../../src/shared/rates.ts'
import { createWorkerRegistry } from '../../src/shared/worker-registry.ts'
import { createMachineMates } from '../../src/worker/machine-mates.ts'
import { commitSegment, keepJob, planOf, someIncident, specOf } from '../support/jobs.ts'
import { silent } from '../support/services.ts'
import { aWorker } from '../support/workers.ts'
import { closedAfterEach, useServices } from '../support/use-services.ts'

const services = useServices()
const open = closedAfterEach()

/** A running job of three batches, the first of them committed; and the sweep. */
async function running() {
  const prefix = services.prefix()
  const redis = services.connect()
  const media = await services.container()
  const files = createJobFiles(media)
  const on = openFlows(redis, { prefix, files, log: silent })
  const queue = openQueue('quarantine', { connection: redis, prefix })
  open.push(on, queue)
  const quarantine = createQuarantine(queue)
  const sweeper = createSweeper({
    ...{ redis, prefix, quarantine, log: silent, settledMs: 0 },
    heal: async (id) => await resumeJob(on, id),
    openJobs: files.openJobs,
  })
  const spec = specOf()
  const { id, client } = spec
  const plan = planOf(id, 3)
  await keepJob(files, spec, 3)
  await on.backlog.put(id, client, plan.frames)
  await on.statuses.create({ id, createdAt: Date.parse(spec.createdAt), model: 'm@1', source: 's', client })
  await addFlow(on, spec)
  await commitSegment(media, id, 0)
  await on.statuses.beginScoring(id, plan, new Map([[0, 10]]))
  await addBatches(on, spec, plan, { committed: async () => await files.committed(id) })
  await on.queues.split.remove(entryIds.split(id))
  return {
    ...{ ...on, id, client, quarantine },
    /** Writes a string where something else belongs, or a list where a string does. */
    async spoil(key: string) {
      const was = await redis.type(`${prefix}:${key}`)
      await redis.del(`${prefix}:${key}`)
      if (was === 'string') await redis.rpush(`${prefix}:${key}`, 'mine')
      else await redis.set(`${prefix}:${key}`, 'mine')
    },
    sweep: async () => await sweeper.run(new AbortController().signal),
    async notes() {
      const { records } = await quarantine.list(0, 100)
      return Object.fromEntries(records.map(({ entry, message }) => [entry, message]))
    },
  }
}

/** Everything that jobs and requests do with the keys beside the queues. */
async function expectToWork({ id, statuses, backlog, incidents, client, redis, prefix }: Running) {
  expect(await statuses.get(id)).toMatchObject({ state: 'scoring', framesDone: 10, framesTotal: 30 })
  expect(await statuses.list(0, 10)).toEqual([id])
  expect(await backlog.list()).toEqual([id])
  expect(await backlog.clients()).toEqual([client])
  const limits = { clientFrames: 1e6, clientJobs: 10, frames: 1e6 }
  expect(await backlog.admit({ id: 'other', client: 'other', frames: 5 }, limits)).toBeUndefined()
  expect(await incidents.note(id, someIncident())).toEqual({ unknown: 1 })
  expect(await statuses.progress(id, 1, 3)).toBeUndefined()
  expect(await statuses.commit(id, 1, 10)).toBe('counted')
  expect(await statuses.get(id)).toMatchObject({ framesDone: 20 })
  expect(await backlog.pace()).toBeGreaterThan(0)
  const workers = createWorkerRegistry(redis, prefix)
  expect(await workers.beat(aWorker('a/1'))).toEqual({ held: false })
  expect(await workers.list()).toMatchObject([{ id: 'a/1' }])
  const rates = createRates(redis, prefix)
  await rates.note({ model: 'm@1', size: '16x16', device: 'cpu' }, { frames: 1, seconds: 1 })
  expect(await rates.all()).toHaveLength(1)
  const mates = createMachineMates(redis, prefix)
  await mates.stay('vm_1')
  expect(await mates.leave('vm_1')).toBe(true)
}
type Running = Awaited<ReturnType<typeof running>>

test('nothing is taken of what is as it should be', async () => {
  const on = await running()
  expect(await on.sweep()).toEqual({ quarantined: 0, relisted: 0, healed: 0 })
  await expectToWork(on)
  expect(await on.sweep()).toEqual({ quarantined: 0, relisted: 0, healed: 0 })
})

test.for([
  ['the line', () => ['open']],
  ['the list of jobs', () => ['jobs']],
  ["a caller's line", ({ client }) => [`open:${client}`]],
  ['what is known of a job', ({ id }) => [`job:${id}`]],
  ['its progress', ({ id }) => [`job:${id}:active`]],
  ['its incidents', ({ id }) => ['incidents', 'failures'].map((part) => `job:${id}:${part}`)],
  ['the fleet', () => ['workers', 'worker:a/1', 'held', 'rates', 'machine:vm_1']],
  ['the pace', () => [backlogKeys('').pace(Date.now()).slice(1)]],
  [
    'all at once',
    ({ id, client }) => ['open', 'jobs', `open:${client}`, `job:${id}`, `job:${id}:done`, `job:${id}:active`],
  ],
] as [string, (on: Running) => string[]][])(
  '%s, of the wrong type, goes to quarantine, and is made anew',
  async ([, keysOf]) => {
    const on = await running()
    const keys = keysOf(on)
    for (const key of keys) await on.spoil(key)
    expect(await on.sweep()).toMatchObject({ quarantined: keys.length })
    const notes = Object.values(await on.notes())
    for (const key of keys) expect(notes.join('\n')).toContain(`The key ${key} is `)
    await expectToWork(on)
    expect(await on.sweep()).toMatchObject({ quarantined: 0 })
  },
)

test('a counter that is none, and a lease that never ends, hold nobody up', async () => {
  const on = await running()
  const { redis, id, prefix } = on
  await redis.set(backlogKeys(prefix).pace(Date.now()), 'many')
  await redis.set(`${prefix}:job:${id}:resuming`, 'for ever')
  await redis.set(`${prefix}:fleet:view`, '{}')
  expect(await on.sweep()).toMatchObject({ quarantined: 3 })
  expect(await redis.exists(`${prefix}:job:${id}:resuming`)).toBe(0)
  await expectToWork(on)
})

test('in a long line every job has its turn', async () => {
  const on = await running()
  const { redis, prefix, client } = on
  const ids = Array.from({ length: 700 }, (_, i) => `job-number-${i}`)
  await redis.hset(`${backlogKeys(prefix).open}:${client}`, ...ids.flatMap((id) => [id, 1]))
  const spoilt = `${prefix}:job:job-number-650`
  await redis.set(spoilt, 'mine')
  let passes = 0
  while ((await redis.exists(spoilt)) === 1 && passes < 10) {
    await on.sweep()
    passes++
  }
  expect(passes).toBeLessThanOrEqual(4)
})

test('a job that could not be healed is healed by a later pass', async () => {
  const on = await running()
  let away = true
  const sweeper = createSweeper({
    ...{ redis: on.redis, prefix: on.prefix, quarantine: on.quarantine, log: silent, settledMs: 0 },
    openJobs: on.files.openJobs,
    heal: async (id) => (away ? await Promise.reject(new Error('away')) : await resumeJob(on, id)),
  })
  await on.spoil(`job:${on.id}`)
  await sweeper.run(new AbortController().signal)
  expect(await on.statuses.get(on.id)).toBeUndefined()
  away = false
  await sweeper.run(new AbortController().signal)
  await expectToWork(on)
})
