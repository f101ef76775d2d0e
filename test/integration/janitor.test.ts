import { expect, test } from 'vitest'
import { addFlow } from '../../src/producer/flow.ts'
import { janitorChore } from '../../src/producer/janitor.ts'
import { openFlows } from '../../src/producer/resume.ts'
import type { BlobItem, BlobStore } from '../../src/shared/blob-store.ts'
import { createJobFiles } from '../../src/shared/job-files.ts'
import { layout } from '../../src/shared/layout.ts'
import { entryIds } from '../../src/shared/queues.ts'
import { commitSegment, keepJob, reportFor, specOf } from '../support/jobs.ts'
import { silent } from '../support/services.ts'
import { useServices } from '../support/use-services.ts'

const services = useServices()

/** Three jobs: one that runs, one that ended with leftovers, one that ended well. */
async function storage() {
  const media = await services.container()
  const files = createJobFiles(media)
  const [redis, prefix] = [services.connect(), services.prefix()]
  const deps = { ...openFlows(redis, { prefix, files, log: silent }), media }
  const [running, untidy, tidy] = [specOf('running-1'), specOf('untidy-01'), specOf('tidy-0001')]
  for (const spec of [running, untidy, tidy]) {
    await keepJob(files, spec, 3)
    await media.write(layout.output(spec.id, 'mp4'), Buffer.from('video'))
    if (spec !== running) await files.writeReport(reportFor(spec, 'succeeded'))
    if (spec !== running) await files.unmark(spec.id)
    if (spec !== tidy) {
      await files.writeSecret(spec.id, { sourceQuery: '?a', outputQuery: '', styleQuery: '' })
      for (const batch of [0, 1, 2]) await commitSegment(media, spec.id, batch)
    }
  }
  const names = async (id: string) => {
    const found: string[] = []
    for await (const { name } of media.list(layout.job(id))) found.push(name.slice(layout.job(id).length))
    return found
  }
  return { deps, files, names }
}

const signal = new AbortController().signal
const segments = ['segments/000000.mp4', 'segments/000001.mp4', 'segments/000002.mp4']
const documents = ['job.json', 'output.mp4', 'plan.json', 'report.json']

test('what is left behind an ended job goes, some each turn; what runs, and what was made, stays', async () => {
  const { deps, names } = await storage()
  const chore = janitorChore(deps, { everyMs: 1, keepDays: 0, pages: 1, pageSize: 4 })
  const turns: number[] = []
  for (let turn = 0; turn < 6; turn++) turns.push((await chore.run(signal))['leftovers'] ?? 0)
  expect(turns.filter((count) => count > 0)).toEqual([1])
  expect(await names('untidy-01')).toEqual(documents)
  expect(await names('tidy-0001')).toEqual(documents)
  expect(await names('running-1')).toEqual([
    'job.json',
    'output.mp4',
    'plan.json',
    'secret.json',
    ...segments,
  ])
  await deps.close()
})

test('jobs that are older than they are kept go altogether, and their ids are free', async () => {
  const { deps, files, names } = await storage()
  const spec = specOf('tidy-0001')
  await deps.statuses.create({ id: spec.id, createdAt: 1, model: 'm', source: 's' })
  await addFlow(deps, spec)
  // The times of blobs are whole seconds: a report may be from the second to come.
  const chore = janitorChore(deps, { everyMs: 1, keepDays: 1e-9 })
  await expect
    .poll(async () => await chore.run(signal).then(async () => await names('untidy-01')))
    .toEqual([])
  await expect
    .poll(async () => await chore.run(signal).then(async () => await names('tidy-0001')))
    .toEqual([])
  expect(await names('running-1')).toContain('plan.json')
  expect(await files.findSpec('tidy-0001')).toBeUndefined()
  expect(await deps.statuses.get('tidy-0001')).toBeUndefined()
  expect(await deps.queues.stitch.getJobState(entryIds.stitch('tidy-0001'))).toBe('unknown')
  await deps.close()
})

test('nothing that was marked open again is touched', async () => {
  const { deps, files, names } = await storage()
  await files.markOpen('untidy-01')
  await janitorChore(deps, { everyMs: 1, keepDays: 1e-9 }).run(signal)
  expect(await names('untidy-01')).toEqual([...documents, 'secret.json', ...segments])
  await deps.close()
})

test('frames that were kept go after their time, and nothing else of their job', async () => {
  const { deps, names } = await storage()
  for (const frame of [0, 1]) await deps.media.write(layout.frame('tidy-0001', frame), Buffer.from('png'))
  const kept = janitorChore(deps, { everyMs: 1, keepDays: 0, keepFramesDays: 1 })
  expect(await kept.run(signal)).toMatchObject({ frames: 0 })
  expect(await names('tidy-0001')).toHaveLength(documents.length + 2)
  const chore = janitorChore(deps, { everyMs: 1, keepDays: 0, keepFramesDays: 1e-9 })
  await expect
    .poll(async () => await chore.run(signal).then(async () => await names('tidy-0001')))
    .toEqual(documents)
  await deps.close()
})

test('signatures and items that a split wrote after the end go, the items of a job that may be run anew stay', async () => {
  const { deps, files, names } = await storage()
  const failed = specOf('failed-01')
  await keepJob(files, failed, 1)
  await files.writeReport(reportFor(failed, 'failed'))
  await files.unmark(failed.id)
  const ended = Math.max(
    ...(await Promise.all(
      [failed.id, 'tidy-0001'].map(
        async (id) => (await deps.media.head(layout.report(id)))?.modified.getTime() ?? 0,
      ),
    )),
  )
  const isLater = async (name: string) => {
    await deps.media.write(name, Buffer.from('late'))
    return ((await deps.media.head(name))?.modified.getTime() ?? 0) > ended
  }
  // The times of blobs are whole seconds.
  for (const id of [failed.id, 'tidy-0001']) {
    await expect.poll(async () => await isLater(layout.itemsOf(id, 'late', 0))).toBe(true)
    await deps.media.write(layout.itemSecretsOf(id, 'late', 0), Buffer.from('["?sig=a"]'))
  }
  // A job that was removed, of which a worker did not hear in time, is nobody's only once it was left for a day.
  await deps.media.write(layout.frame('gone-0001', 1), Buffer.from('png'))
  const chore = janitorChore(deps, { everyMs: 1, keepDays: 0 })
  expect(await chore.run(signal)).toMatchObject({ leftovers: 3 })
  expect(await names('tidy-0001')).toEqual(documents)
  expect(await names(failed.id)).toEqual(['items/late/000000.ndjson', 'job.json', 'plan.json', 'report.json'])
  expect(await names('gone-0001')).toHaveLength(1)
  expect(await chore.run(signal)).toMatchObject({ leftovers: 0 })
  await deps.close()
})

test('however many pages a job goes on for, each of its blobs is looked at as often as the last', async () => {
  const { deps, names } = await storage()
  const images = Array.from({ length: 40 }, (_, i) => `${layout.images('untidy-01')}${i}.png`)
  for (const name of images) await deps.media.write(name, Buffer.from('png'))
  const looks = new Map<string, number>()
  const counted = (item: BlobItem): BlobItem => ({
    ...item,
    get name() {
      looks.set(item.name, (looks.get(item.name) ?? 0) + 1)
      return item.name
    },
  })
  const media: BlobStore = {
    ...deps.media,
    async listPage(prefix, page) {
      const listed = await deps.media.listPage(prefix, page)
      return prefix === layout.jobs ? { ...listed, items: listed.items.map(counted) } : listed
    },
  }
  await janitorChore({ ...deps, media }, { everyMs: 1, keepDays: 0, pages: 100, pageSize: 2 }).run(signal)
  expect(await names('untidy-01')).toHaveLength(documents.length + images.length)
  expect(looks.size).toBeGreaterThan(images.length)
  expect(new Set(looks.values()).size).toBe(1)
  await deps.close()
})
