import { join } from 'node:path'
import { mkdir } from 'node:fs/promises'
import { beforeAll, expect, test } from 'vitest'
import { type BlobStore, connectAccount } from '../../src/shared/blob-store.ts'
import type { Plan } from '../../src/shared/job.ts'
import { createJobFiles } from '../../src/shared/job-files.ts'
import { createJobStatuses } from '../../src/shared/job-status.ts'
import { layout } from '../../src/shared/layout.ts'
import { writeSegmentFacts } from '../../src/shared/segment-metadata.ts'
import { fetchParts } from '../../src/stitcher/fetch-parts.ts'
import { finishItems } from '../../src/stitcher/finish-items.ts'
import { planOf, specOf } from '../support/jobs.ts'
import { silent } from '../support/services.ts'
import { tempDir } from '../support/temp-dir.ts'
import { useServices } from '../support/use-services.ts'

const dir = tempDir()
const services = useServices()
const { signal } = new AbortController()
let media: BlobStore
beforeAll(async () => {
  media = await services.container()
})

/** A plan of a video under a model that makes no pictures. */
const scoredPlan = (id: string, batches: number): Plan => ({ ...planOf(id, batches), encoding: undefined })
const lines = (first: number) => Array.from({ length: 10 }, (_, i) => lineOf(first + i))
const lineOf = (frame: number) => `${JSON.stringify({ key: String(frame), value: { frame, score: 1 } })}\n`

async function commit(id: string, batch: number, text: string, replaced: number[] = []): Promise<void> {
  const metadata = writeSegmentFacts({ frames: 10, replaced, through: [] })
  await media.write(layout.part(id, batch), Buffer.from(text), { metadata })
}

async function finish(id: string, batches: number) {
  const statuses = createJobStatuses(services.connect(), services.prefix())
  const spec = specOf(id)
  spec.request = { ...spec.request, output: { scores: { format: 'ndjson' } } }
  await statuses.create({ id, createdAt: 1, model: 'm', source: 's' })
  await statuses.advance(id, 'stitching')
  const own = join(dir, id)
  await mkdir(own)
  const context = {
    signal,
    log: silent,
    attempt: 0,
    again: false,
    failures: {},
    childFailures: async () => ({}),
  }
  const outputs = { of: async () => await Promise.resolve(undefined) }
  return await finishItems(
    { media, statuses, outputs },
    { spec, plan: scoredPlan(id, batches), dir: own, context },
  )
}

test('parts become one file in order; which frames were damaged is said, by their numbers in the video', async () => {
  await commit('a-job-that-is-well', 0, lines(0).join(''))
  await commit('a-job-that-is-well', 1, lines(10).join(''))
  // What a resumed job need not do again.
  const files = createJobFiles(media)
  await files.keepPlan(scoredPlan('a-job-that-is-well', 2))
  expect(await files.committed('a-job-that-is-well')).toEqual(
    new Map([
      [0, 10],
      [1, 10],
    ]),
  )
  expect(await finish('a-job-that-is-well', 2)).toMatchObject({
    ...{ status: 'succeeded', framesReplaced: [], warnings: [] },
    items: { total: 20, failed: 0 },
  })
  const made = String(await media.read(layout.output('a-job-that-is-well', 'ndjson')))
  expect(made.trim().split('\n')).toEqual(
    Array.from({ length: 20 }, (_, frame) => JSON.stringify({ frame, score: 1 })),
  )
  // No more may be damaged than the job allows: of this one none.
  await commit('a-job-with-damage', 0, lines(0).join(''))
  await commit('a-job-with-damage', 1, lines(10).join(''), [2])
  expect(await finish('a-job-with-damage', 2)).toMatchObject({
    ...{ status: 'failed', error: { code: 'too-many-errors' } },
  })
})

test.each([
  ['other frames', () => lines(10)],
  ['the same frame twice', () => [...lines(0).slice(0, 9), lineOf(8)]],
  ['frames that are none', () => [...lines(0).slice(0, 9), `{"key":"../9","value":{}}\n`]],
])('a part that has lines of %s is no part of ours', async (what, write) => {
  const id = `a-job-with-${what.replaceAll(' ', '-')}`
  await commit(id, 0, write().join(''))
  await expect(finish(id, 1)).rejects.toMatchObject({ name: 'InputError', code: 'bad-part' })
})

test('a part that is missing is waited for; one that nobody could read is not fetched', async () => {
  const id = 'a-job-that-is-fat'
  const plan = scoredPlan(id, 2)
  await commit(id, 0, lines(0).join(''))
  const fetching = async () => await fetchParts(media, plan, dir, signal)
  await expect(fetching()).rejects.toMatchObject({ name: 'TransientError' })
  const [, container = ''] = /([^/]+)$/.exec(media.url('')) ?? []
  // Storage keeps nothing of a page blob that nobody has written to.
  const page = connectAccount(services.mediaAccount).getContainerClient(container)
  const metadata = writeSegmentFacts({ frames: 10, replaced: [], through: [] })
  await page.getPageBlobClient(layout.part(id, 1)).create(2 ** 40, { metadata })
  await expect(fetching()).rejects.toMatchObject({ name: 'InputError', code: 'bad-part' })
})
