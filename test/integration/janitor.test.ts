import { expect, test } from 'vitest'
import { addFlow } from '../../src/producer/flow.ts'
import { janitorChore } from '../../src/producer/janitor.ts'
import { openFlows } from '../../src/producer/resume.ts'
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
