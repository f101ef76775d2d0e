import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type QueueClient, QueueSASPermissions } from '@azure/storage-queue'
import { expect, test, vi } from 'vitest'
import { layout } from '../../src/shared/layout.ts'
import { publish } from '../../src/stitcher/publish.ts'
import { startArrivals } from '../support/arrivals.ts'
import { blobCreated, cloudBlobCreated } from '../support/events.ts'
import { planOf, specOf } from '../support/jobs.ts'
import { useStorageQueues } from '../support/storage-queue.ts'
import { tempDir } from '../support/temp-dir.ts'
import { closedAfterEach, useServices } from '../support/use-services.ts'

const dir = tempDir()
const services = useServices()
const queues = useStorageQueues()
const opened = closedAfterEach()

const until = async (check: () => unknown) =>
  await vi.waitFor(async () => await check(), { timeout: 30_000, interval: 50 })

/** A queue as Event Grid fills it, and producers that take from it. */
async function start(options: { clientJobs?: number; pace?: object } = {}) {
  const arrivals = await startArrivals(services, { dir, ...options })
  opened.push(arrivals)
  const { client, setting } = await queues.create()
  const pulling = arrivals.pull(setting, options.pace)
  opened.push({ close: pulling.stop })
  await arrivals.setRules([{ name: 'all', suffixes: ['.mp4'], job: { model: 'passthrough' } }])
  return {
    ...arrivals,
    client,
    setting,
    say: async (event: object) => await say(client, JSON.stringify(event)),
    isEmpty: async () => await until(async () => expect(await left(client)).toBe(0)),
  }
}

/** As Event Grid does. */
const say = async (client: QueueClient, text: string) =>
  await client.sendMessage(Buffer.from(text).toString('base64'))
/** Those that are taken, and those that wait, count as well. */
const left = async (client: QueueClient) => (await client.getProperties()).approximateMessagesCount

test('a video that lands starts its job, whichever schema says so; other files start none', async () => {
  const { land, say, jobs, client, isEmpty, counted, files } = await start()
  const [first, second] = [await land('in/a.mp4'), await land('in/b c#1.mp4')]
  await say(blobCreated(first))
  await say([cloudBlobCreated(second)])
  await say(blobCreated(await land('in/notes.txt')))
  await say(blobCreated(await land('uploads/film.mp4')))
  await say({ ...blobCreated(first), eventType: 'Microsoft.Storage.BlobDeleted' })
  // Some senders don't encode it.
  await client.sendMessage(JSON.stringify(blobCreated(await land('in/plain.mp4'))))
  await isEmpty()
  const started = await jobs()
  const sources = started.map(({ source }) => source)
  expect(new Set(sources)).toEqual(new Set(['in/a.mp4', 'in/b c#1.mp4', 'in/plain.mp4']))
  expect(started).toHaveLength(3)
  expect(await counted()).toEqual({ 'queue started': 3, 'queue ignored': 3 })
  expect(await files.findSpec(started[0]?.id ?? '')).toMatchObject({ client: 'trigger' })
})

test('an event that comes many times, to two producers, starts one job', async () => {
  const { land, say, jobs, isEmpty, times, quarantine, client, pull } = await start()
  // One of them reaches the queue by a URL with a SAS.
  const sas = {
    permissions: QueueSASPermissions.parse('rup'),
    expiresOn: new Date(Date.now() + 3_600_000),
  }
  const other = pull(client.generateSasUrl(sas))
  opened.push({ close: other.stop })
  const url = await land('in/a.mp4')
  await Promise.all(Array.from({ length: 24 }, async () => await say(blobCreated(url))))
  await isEmpty()
  expect(await jobs()).toHaveLength(1)
  expect((await times('queue started')) + (await times('queue known'))).toBe(24)
  expect((await quarantine.list(0, 10)).total).toBe(0)
})

test('of a video that was replaced what is there counts, in whatever order that is said; of one that went nothing', async () => {
  const { land, say, jobs, isEmpty, media, counted } = await start()
  await land('in/a.mp4', 1_000)
  const old = (await media.head('in/a.mp4'))?.etag ?? ''
  const url = await land('in/a.mp4', 2_000)
  const etag = (await media.head('in/a.mp4'))?.etag ?? ''
  const gone = await land('in/gone.mp4')
  await media.remove(['in/gone.mp4'])
  await say(blobCreated(url, { eTag: etag.replaceAll('"', '') }))
  await isEmpty()
  await say(blobCreated(url, { eTag: old.replaceAll('"', '') }))
  await say(blobCreated(gone))
  await isEmpty()
  expect(await jobs()).toEqual([{ id: expect.any(String), source: 'in/a.mp4', etag }])
  expect(await counted()).toEqual({ 'queue started': 1, 'queue known': 1, 'queue gone': 1 })
  // A later version is another video.
  await say(blobCreated(await land('in/a.mp4', 3_000)))
  await isEmpty()
  expect(await jobs()).toHaveLength(2)
})

test('a message that is no event is in quarantine with what it held, and holds nobody up', async () => {
  const { land, say, jobs, client, isEmpty, quarantine } = await start()
  await client.sendMessage('no event, with ?sv=1&sig=abcdefgh in it')
  await client.sendMessage(Buffer.from([0xff, 0xfe, 0x00]).toString('base64'))
  await say(blobCreated(await land('in/a.mp4')))
  await isEmpty()
  expect(await jobs()).toHaveLength(1)
  const { records } = await quarantine.list(0, 10)
  expect(records).toHaveLength(2)
  for (const record of records)
    expect(record).toMatchObject({
      queue: 'arrivals',
      reason: 'unreadable',
      message: /no event of Event Grid/,
    })
  const [payload] = records.map(({ payload: text }) => text).filter((text) => text.startsWith('no event'))
  expect(payload).toBe('no event, with ?sv=***&sig=*** in it')
})

test('what fails each time for a reason nobody knows is in quarantine in the end', async () => {
  const { land, say, isEmpty, system, quarantine, counted } = await start({ pace: { tries: 2 } })
  await system.write(layout.manifest('passthrough', '1'), Buffer.from('{'))
  await say(blobCreated(await land('in/a.mp4')))
  await isEmpty()
  expect(await counted()).toEqual({ 'queue poison': 1 })
  expect((await quarantine.list(0, 10)).records).toMatchObject([
    { reason: 'poison', message: /could not be done in 2 tries/, payload: 'in/a.mp4' },
  ])
})

test('a video for which there is no room waits on the queue, however often, and starts when there is', async () => {
  const { land, say, jobs, flows, isEmpty, waits, quarantine } = await start({
    clientJobs: 1,
    pace: { tries: 1 },
  })
  await say(blobCreated(await land('in/a.mp4')))
  await isEmpty()
  await say(blobCreated(await land('in/b.mp4')))
  // More often than it would be tried were it to blame.
  await until(async () => expect(await waits()).toBeGreaterThan(3))
  const [first, ...others] = await jobs()
  expect(others).toEqual([])
  await flows.backlog.drop(first?.id ?? '')
  await isEmpty()
  expect(await jobs()).toHaveLength(2)
  expect((await quarantine.list(0, 10)).total).toBe(0)
})

test('what lands while the rules can not be read waits for them', async () => {
  const { land, say, jobs, system, setRules, waits, isEmpty } = await start()
  await system.write(layout.triggerRules, Buffer.from('{"rules": 1}'))
  await say(blobCreated(await land('in/a.mp4')))
  await until(async () => expect(await waits()).toBeGreaterThan(0))
  expect(await jobs()).toEqual([])
  await setRules([{ name: 'all', job: { model: 'passthrough' } }])
  await isEmpty()
  expect(await jobs()).toHaveLength(1)
})

test('what lands while Redis is away waits for it', async () => {
  const { land, say, jobs, redis, waits, isEmpty, files } = await start()
  redis.disconnect()
  await say(blobCreated(await land('in/a.mp4')))
  await until(async () => expect(await waits()).toBeGreaterThan(0))
  expect(await jobs()).toEqual([])
  await redis.connect()
  await isEmpty()
  const [job] = await jobs()
  expect(await files.openMark(job?.id ?? '')).toBeDefined()
})

test('while the queue is away nothing is lost', { timeout: 120_000 }, async () => {
  const { land, say, jobs, isEmpty } = await start({ pace: { idleMs: [50, 500] } })
  await say(blobCreated(await land('in/a.mp4')))
  await isEmpty()
  await queues.stop()
  await queues.start()
  await say(blobCreated(await land('in/b.mp4')))
  await isEmpty()
  expect(await jobs()).toHaveLength(2)
})

test('a message stays with the one who works on it, however long that takes', async () => {
  const arrivals = await startArrivals(services, { dir })
  opened.push(arrivals)
  const { client, setting } = await queues.create()
  await say(client, JSON.stringify(blobCreated(await arrivals.land('in/a.mp4'))))
  const now = async () => (await client.getProperties()).date?.getTime() ?? 0
  const began = await now()
  let calls = 0
  const slowly = async () => {
    calls++
    // Three times as long as it is anybody's who doesn't renew it.
    await vi.waitFor(async () => expect(await now()).toBeGreaterThan(began + 10_000), {
      ...{ timeout: 40_000, interval: 200 },
    })
    return { outcome: 'gone' } as const
  }
  for (let i = 0; i < 2; i++) {
    const pulling = arrivals.pull(setting, { leaseSeconds: 3 }, slowly)
    opened.push({ close: pulling.stop })
  }
  await until(async () => expect(await left(client)).toBe(0))
  expect(calls).toBe(1)
})

test('an output that lands where videos do starts nothing, and a video put over it does', async () => {
  const { land, say, jobs, isEmpty, media, counted } = await start()
  const url = media.url('in/styled.mp4')
  const spec = specOf()
  const path = join(dir, 'styled.mp4')
  await writeFile(path, 'a video')
  const output = { url, query: '' }
  const { signal } = new AbortController()
  await publish(media, { spec, plan: planOf(spec.id, 1), path, output, signal })
  await say(blobCreated(url))
  await isEmpty()
  expect(await counted()).toEqual({ 'queue ignored': 1 })
  await say(blobCreated(await land('in/styled.mp4')))
  await isEmpty()
  expect((await jobs()).map(({ source }) => source)).toEqual(['in/styled.mp4'])
})

test('a video whose rule can not be followed is in quarantine, and says why', async () => {
  const { land, say, setRules, isEmpty, quarantine } = await start()
  await setRules([{ name: 'all', job: { model: 'van-gogh' } }])
  const url = await land('in/a.mp4')
  await say(blobCreated(url))
  await say(blobCreated(url))
  await isEmpty()
  const { total, records } = await quarantine.list(0, 10)
  expect(total).toBe(1)
  expect(records).toMatchObject([
    { queue: 'arrivals', reason: 'refused', payload: 'in/a.mp4', message: /van-gogh/ },
  ])
})
