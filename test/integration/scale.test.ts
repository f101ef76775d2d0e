import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import Fastify from 'fastify'
import { serializerCompiler, validatorCompiler } from 'fastify-type-provider-zod'
import type { Redis } from 'ioredis'
import { expect, test } from 'vitest'
import { addBatches, addFlow } from '../../src/producer/flow.ts'
import { type JobRoutesDeps, addJobRoutes } from '../../src/producer/job-routes.ts'
import { createIndexer } from '../../src/producer/indexer.ts'
import { indexSource } from '../../src/producer/index-source.ts'
import { handleErrors } from '../../src/producer/problem.ts'
import { openFlows } from '../../src/producer/resume.ts'
import { type JobFiles, createJobFiles } from '../../src/shared/job-files.ts'
import { entryIds } from '../../src/shared/queues.ts'
import { makeClip } from '../support/clips.ts'
import { planOf, specOf } from '../support/jobs.ts'
import { silent } from '../support/services.ts'
import { tempDir } from '../support/temp-dir.ts'
import { useServices } from '../support/use-services.ts'

const dir = tempDir()
const services = useServices()

/** What Redis is asked while something is done, by everybody, in order; what scripts do inside is left out. */
async function commandsOf(redis: Redis, work: () => Promise<unknown>): Promise<string[][]> {
  const monitor = await services.connect('monitor').monitor()
  const seen: string[][] = []
  const end = new Promise<void>((resolve) => {
    monitor.on('monitor', (_time: string, args: string[], source: string) => {
      if (args[0]?.toLowerCase() === 'echo') resolve()
      else if (source !== 'lua') seen.push(args)
    })
  })
  await work()
  await redis.echo('done')
  await end
  monitor.disconnect()
  return seen
}

const usedMemory = async (redis: Redis) => Number(/used_memory:(\d+)/.exec(await redis.info('memory'))?.[1])

const batches = 1_000

/** A job whose batches are all on the queue, and what that took. */
async function longFilm() {
  const [media, prefix, redis] = [await services.container(), services.prefix(), services.connect()]
  const files = createJobFiles(media)
  const on = openFlows(redis, { prefix, files, log: silent, share: 0.5 })
  const spec = specOf()
  const plan = planOf(spec.id, batches)
  await on.statuses.create({ id: spec.id, createdAt: 1, model: 'm@1', source: 's' })
  await addFlow(on, spec)
  await on.statuses.beginScoring(spec.id, plan, new Map())
  const before = await usedMemory(redis)
  const commands = await commandsOf(redis, async () => {
    await addBatches(on, spec, plan, { committed: async () => new Map() })
  })
  return { ...on, spec, commands, bytes: (await usedMemory(redis)) - before }
}

test('a long film comes onto the queue one batch a command, and takes a bounded part of memory', async () => {
  const { commands, bytes, queues, redis, spec, close } = await longFilm()
  // A transaction, or a script with a list of batches, would hold everybody up until all of it is done.
  expect(commands.filter(([name]) => /^(?:multi|exec)$/i.test(name ?? ''))).toEqual([])
  const longest = Math.max(...commands.map((args) => args.join(' ').length))
  expect(longest).toBeLessThan(8_000)
  const payload = /"index":\d+/g
  const carried = commands.map((args) => args.join(' ').match(payload)?.length ?? 0)
  expect(Math.max(...carried)).toBe(1)
  expect(carried.filter((count) => count === 1)).toHaveLength(batches)
  expect(await redis.zcard(queues.batch.toKey('prioritized'))).toBe(batches)
  // The split is a child as well, and has not ended.
  expect(await redis.scard(`${queues.stitch.toKey(entryIds.stitch(spec.id))}:dependencies`)).toBe(batches + 1)
  expect(bytes / batches).toBeLessThan(2_500)
  await close()
})

test('how a job is doing costs two small commands, however many batches it has', async () => {
  const { spec, redis, statuses, close } = await longFilm()
  await Promise.all([1, 2, 3].map(async (batch) => await statuses.progress(spec.id, batch, 5)))
  // Of the files none is looked at: any would throw.
  const files = new Proxy({} as JobFiles, {
    get: (_, name) => () => {
      throw new Error(`${String(name)} was asked for`)
    },
  })
  const app = Fastify()
  app.setValidatorCompiler(validatorCompiler)
  app.setSerializerCompiler(serializerCompiler)
  handleErrors(app)
  addJobRoutes(app, { files, statuses, log: silent } as unknown as JobRoutesDeps)
  let answer: Awaited<ReturnType<typeof app.inject>> | undefined
  const commands = await commandsOf(redis, async () => {
    answer = await app.inject({ method: 'GET', url: `/v1/jobs/${spec.id}` })
  })
  expect(answer?.json()).toMatchObject({ status: 'scoring', frames: { done: 15, total: batches * 10 } })
  expect(new Set(commands.map(([name]) => name?.toLowerCase()))).toEqual(new Set(['hgetall', 'hvals']))
  expect(commands).toHaveLength(2)
  const [status, underWay] = commands.map(([, key]) => key ?? '')
  // What they read does not grow with the film: a few fields, and one for each batch that somebody is at.
  expect(await redis.hlen(status ?? '')).toBeLessThan(25)
  expect(await redis.hlen(underWay ?? '')).toBe(3)
  await close()
})

test('a source is indexed on a thread as it would be here; its faults and an end before the end come through', async () => {
  const clip = await makeClip({
    path: join(dir, 'some.mkv'),
    ...{ frames: 400, size: '16x16', fps: '30000/1001' },
    video: ['-c:v', 'libx264', '-preset', 'ultrafast', '-bf', '2', '-g', '50', '-pix_fmt', 'yuv420p'],
  })
  const indexer = createIndexer()
  // One answer for each, whichever comes first.
  const [found, again, wrong] = await Promise.allSettled([
    indexer.index(clip),
    indexer.index(clip),
    indexer.index(join(import.meta.dirname, 'scale.test.ts')),
  ])
  const here = await indexSource(clip)
  expect(here).toMatchObject({ frames: 400, facts: { audio: [{ codec: 'aac' }] } })
  expect(here.keyframes?.slice(0, 3)).toEqual([0, 50, 100])
  expect(found).toEqual({ status: 'fulfilled', value: here })
  expect(again).toEqual({ status: 'fulfilled', value: here })
  expect(wrong).toMatchObject({ reason: { name: 'InputError', code: 'not-a-video' } })

  const stop = new AbortController()
  const stopped = indexer.index(clip, stop.signal)
  stop.abort(new Error('told to leave'))
  await expect(stopped).rejects.toThrow('told to leave')
  // Whoever ends it ends what it was at; the next who asks is answered.
  const [cut] = await Promise.allSettled([indexer.index(clip), indexer.close()])
  expect(cut).toMatchObject({ reason: { name: 'ResourceError' } })
  expect(await indexer.index(clip)).toEqual(here)
  await indexer.close()
})

test('a source that takes all memory ends nobody else who is indexed meanwhile', async () => {
  const clip = await makeClip({ path: join(dir, 'light.mkv'), frames: 10, size: '16x16' })
  const heavy = join(dir, 'heavy.mkv')
  const tags = join(dir, 'tags')
  await writeFile(tags, `;FFMETADATA1\nlyrics=${'x'.repeat(12_000_000)}\n`)
  await promisify(execFile)('ffmpeg', ['-i', clip, '-i', tags, '-map_metadata', '1', '-c', 'copy', heavy])
  const indexer = createIndexer({ megabytes: 20 })
  let died = false
  const dying = indexer
    .index(heavy)
    .catch((error: unknown) => error)
    .finally(() => (died = true))
  while (!died) expect(await indexer.index(clip)).toMatchObject({ frames: 10 })
  expect(await dying).toMatchObject({ name: 'ResourceError' })
})
