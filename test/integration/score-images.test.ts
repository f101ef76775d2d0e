import { randomUUID } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { BlobStore } from '../../src/shared/blob-store.ts'
import { LostError, ResourceError } from '../../src/shared/errors.ts'
import { createFileCache } from '../../src/shared/file-cache.ts'
import type { ItemsPlan } from '../../src/shared/items/items-plan.ts'
import { parseLines, readPartLine } from '../../src/shared/items/ndjson.ts'
import type { BatchPayload, BatchResult, JobSpec } from '../../src/shared/job.ts'
import { layout } from '../../src/shared/layout.ts'
import { builtinModels } from '../../src/shared/models/builtin.ts'
import { parseManifest } from '../../src/shared/models/manifest.ts'
import { type ModelRef, createModelStore } from '../../src/shared/models/model-store.ts'
import { createSourceReader } from '../../src/shared/source.ts'
import { type EngineRack, createEngineRack } from '../../src/worker/engine-rack.ts'
import type { Manner } from '../../src/worker/engine-protocol.ts'
import { createImageScorer } from '../../src/worker/items/score-images.ts'
import { scoreItems } from '../../src/worker/items/score-items.ts'
import { createCarefulScorer } from '../../src/worker/score-with-care.ts'
import { specOf } from '../support/jobs.ts'
import { picture } from '../support/pictures.ts'
import { ratioModel } from '../support/score-models.ts'
import { silent } from '../support/services.ts'
import { tempDir } from '../support/temp-dir.ts'
import { useServices } from '../support/use-services.ts'

const services = useServices()
const dir = tempDir()
const wish = { device: 'cpu', deviceId: 0, threads: 1 } as const
const { signal } = new AbortController()

type Images = Record<string, Buffer>

/** A job of one batch of images that lie in a real store, on one machine. */
async function aJob(images: Images, { output = {}, engines, model }: Wish = {}) {
  const media = await services.container()
  const models = createModelStore(media)
  for (const { manifest, bytes } of builtinModels()) await models.put(manifest, bytes)
  const used = (await model?.(models)) ?? (await models.resolve('passthrough'))
  const spec = specOf(undefined, {
    model: { name: used.name, version: used.version, sha256: used.sha256 },
  })
  spec.request = { ...spec.request, source: { images: { prefix: 'in/' } }, output, errorThreshold: 10 }
  const items = Object.keys(images).map((key) => ({ key, name: `in/${key}` }))
  for (const { key, name } of items) await media.write(name, images[key] as Buffer)
  const { id } = spec
  const lines = items.map((item) => `${JSON.stringify(item)}\n`)
  await media.write(layout.itemsOf(id, 'folder', 0), Buffer.from(lines.join('')))
  const count = items.length
  const plan: ItemsPlan = {
    ...{ v: 1, kind: 'items', jobId: id, frames: count, batches: [count], folder: 'folder' },
    ...{ groups: [], groupOf: [], hasQueries: false, warnings: [] },
  }
  const cache = createFileCache({ dir: join(dir, randomUUID()), maxBytes: 1e9 })
  const sources = createSourceReader(media, cache)
  const rack = engines ?? createEngineRack({ models, media, cache, log: silent, wish })
  const scorers = {
    images: createImageScorer({ media, sources, models, engines: rack }),
    table: async () => await Promise.reject(new Error('it is no table')),
  }
  const batch: BatchPayload = { jobId: id, index: 0, first: 0, count }
  const score = async (manner: Manner = { again: false }, onScoring = () => {}) => {
    const own = join(dir, randomUUID())
    await mkdir(own)
    return await scoreItems(
      { media, scorers },
      {
        ...{ dir: own, spec, plan, batch, manner, log: silent, signal, onScoring },
        ...{ onItem() {}, onFetched() {} },
      },
    )
  }
  return { media, spec, batch, score, lines: async () => await partOf(media, spec) }
}

type Wish = {
  output?: JobSpec['request']['output']
  engines?: EngineRack
  model?: (models: ReturnType<typeof createModelStore>) => Promise<ModelRef>
}

const partOf = async (media: BlobStore, { id }: JobSpec) =>
  parseLines((await media.read(layout.part(id, 0))) as Buffer, readPartLine)

const size = { width: 40, height: 24 }
const good = await picture(size).png().toBuffer()
const black = await picture(size).linear(0, 0).png().toBuffer()
const torn = Buffer.from('no image')

test('an image that becomes larger than its format can hold is one that failed', async () => {
  const wide = await picture({ width: 17_000, height: 2 }).png().toBuffer()
  const job = await aJob({ 'a.png': good, 'b.png': wide }, { output: { images: { format: 'webp' } } })
  await job.score()
  expect(await job.lines()).toEqual([
    { key: 'a.png', value: expect.objectContaining({ format: 'webp' }) },
    {
      key: 'b.png',
      error: {
        code: 'bad-image',
        message: expect.stringMatching(/17000x2, can't be written as webp: .*large/),
      },
    },
  ])
})

test('what fails before the first image is scored makes no part of the set-up a time of images', async () => {
  // Said to be an image, which shows only as it is decoded.
  const broken = good.subarray(0, good.length >> 1)
  const job = await aJob({ 'a.png': torn, 'b.png': broken, 'c.png': good })
  const reached: number[] = []
  const began = performance.now()
  const { ms } = await job.score(undefined, () => reached.push(performance.now() - began))
  const [loading = Infinity, running] = reached
  expect(running).toBeGreaterThan(loading)
  expect({ setUpMs: 0, ...ms }.setUpMs).toBeGreaterThan(loading)
})

test('an image that was made already stays: the one whose part counts made it, and may be read from it now', async () => {
  const job = await aJob({ 'a.png': good, 'b.png': good })
  const there = layout.madeImage(job.spec.id, 0, 0, 'png')
  await job.media.write(there, Buffer.from('the first one’s'))
  await job.score()
  expect((await job.media.read(there))?.toString()).toBe('the first one’s')
  expect(await job.lines()).toMatchObject([{ value: { made: there } }, { value: {} }])
})

test('an image of which the model says no number is one that failed', async () => {
  const scores = { task: 'anomaly' }
  const manifest = parseManifest(
    { name: 'ratio', input: { layout: 'NCHW', type: 'float32', range: '0..1' }, scores },
    'ratio',
  )
  const job = await aJob(
    { 'a.png': good, 'b.png': black },
    {
      output: { scores: { format: 'ndjson' } },
      model: async (models) => await models.put(manifest, ratioModel()),
    },
  )
  await job.score()
  expect(await job.lines()).toMatchObject([
    { key: 'a.png', value: { score: 1 } },
    { key: 'b.png', error: { code: 'no-number' } },
  ])
})

test('a machine that scores nothing is found where the first image can not be opened, and no image is blamed', async () => {
  const died = async () => await Promise.reject(new ResourceError('its engine died'))
  const job = await aJob({ 'a.png': torn, 'b.png': good, 'c.png': good }, { engines: { open: died } })
  const unfit: string[] = []
  const host = {
    score: async (_: BatchPayload, { manner }: { manner: Manner }) => {
      const { device, ms } = await job.score(manner)
      return { frames: 1, replaced: [], through: [], device, ms } satisfies BatchResult
    },
    ...{ check: died, begin() {}, close: async () => await Promise.resolve() },
    [Symbol.asyncDispose]: async () => await Promise.resolve(),
  }
  const score = createCarefulScorer({
    shared: host,
    openLone: () => host,
    spec: async () => await Promise.resolve(job.spec),
    onUnfit: (error) => unfit.push(error.message),
    onUnscored: async () => await Promise.reject(new Error('an image was blamed')),
  })
  const context = { log: silent, attempt: 3, again: true, failures: { resource: 2 }, signal }
  await expect(score(job.batch, context, () => {})).rejects.toThrow(LostError)
  expect(unfit).toEqual(['its engine died'])
})
