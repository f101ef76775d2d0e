import { readFile, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import { type BlobStore, connectAccount } from '../../src/shared/blob-store.ts'
import type { Plan } from '../../src/shared/job.ts'
import { createJobFiles } from '../../src/shared/job-files.ts'
import { layout } from '../../src/shared/layout.ts'
import { writeSegmentFacts } from '../../src/shared/segment-metadata.ts'
import { assemble } from '../../src/stitcher/assemble.ts'
import { checkSegments, expectRoom } from '../../src/stitcher/check-segments.ts'
import { fetchSegments } from '../../src/stitcher/fetch-segments.ts'
import { makeClip } from '../support/clips.ts'
import { planOf, specOf } from '../support/jobs.ts'
import { tempDir } from '../support/temp-dir.ts'
import { useServices } from '../support/use-services.ts'

const dir = tempDir()
const services = useServices()
const { signal } = new AbortController()
let media: BlobStore
let clip: string
beforeAll(async () => {
  media = await services.container()
  clip = await makeClip({ path: join(dir, 'clip.mp4'), frames: 10, sound: false })
})

/** Segments as somebody writes them who has taken over a worker: each has what this makes of a video's path. */
const disguises: [what: string, make: (path: string) => string | Promise<Buffer>][] = [
  [
    'a playlist',
    (path) => `#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n${basename(path)}\n#EXT-X-ENDLIST\n`,
  ],
  ['a list of files', (path) => `ffconcat version 1.0\nfile ${basename(path)}\n`],
  ['a list behind a line', (path) => `\nffconcat version 1.0\nfile ${basename(path)}\n`],
  ['nothing', () => ''],
  ['the beginning of an MP4', async (path) => (await readFile(path)).subarray(0, 7)],
]

async function commit(id: string, batch: number, bytes: Buffer, facts: object = {}): Promise<void> {
  const metadata = writeSegmentFacts({ frames: 10, replaced: [], through: [] })
  await media.write(layout.segment(id, batch), bytes, { metadata: { ...metadata, ...facts } })
}

test.for(disguises)('a segment that is no video is not opened: %s', async ([what, make]) => {
  const id = `a-job-with-${what.replaceAll(' ', '-')}`.toLowerCase()
  await commit(id, 0, await readFile(clip))
  await commit(id, 1, Buffer.from(await make(clip)))
  const { bytes } = await checkSegments(media, specOf(id), planOf(id, 2))
  const fetching = fetchSegments(media, id, { bytes, dir, signal })
  await expect(fetching).rejects.toMatchObject({
    ...{ name: 'InputError', code: 'bad-segment', message: `Segment 1 of job ${id} is no MP4.` },
  })
})

test('nor would ffmpeg open what a segment names', async () => {
  const [, playlist] = disguises[0] ?? []
  const segments = [join(dir, 'first.mp4'), join(dir, 'second.mp4')]
  const plan = planOf('a-job', 2)
  const joined = async () => await assemble({ plan, segments, source: clip, dir, signal })
  for (const path of segments) await writeFile(path, await readFile(clip))
  expect(await joined()).toMatch(/output\.mp4$/)
  await writeFile(segments[1] ?? '', (await playlist?.(clip)) ?? '')
  await expect(joined()).rejects.toThrow(/has 10 frames, the plan 20/)
})

test('whole segments are fetched in order, and none that has grown since it was listed', async () => {
  const id = 'a-job-that-is-well'
  for (const batch of [0, 1, 2]) await commit(id, batch, await readFile(clip))
  const { bytes } = await checkSegments(media, specOf(id), planOf(id, 3))
  expect(bytes).toEqual(Array.from({ length: 3 }, () => bytes[0]))
  const paths = await fetchSegments(media, id, { bytes, dir, signal })
  expect(paths.map((path) => basename(path))).toEqual(['000000.mp4', '000001.mp4', '000002.mp4'])
  await commit(id, 1, Buffer.concat([await readFile(clip), Buffer.alloc(1)]))
  await expect(fetchSegments(media, id, { bytes, dir, signal })).rejects.toThrow(
    `has ${(bytes[1] ?? 0) + 1} bytes, more than the ${bytes[1]} it had`,
  )
})

test.each([
  ['a billion frames', '0-1000000000'],
  ['the same frames again and again', Array.from({ length: 500 }, () => '0-9').join(' ')],
  ['one beyond its last', '10'],
  ['runs that go back', '5-3'],
  ['no numbers', '0-x'],
])('a segment says no more than of its own frames: %s', async (_, runs) => {
  const id = 'a-job-that-says-much'
  await commit(id, 0, await readFile(clip), { replaced: runs })
  await expect(checkSegments(media, specOf(id), planOf(id, 1))).rejects.toMatchObject({
    ...{ name: 'InputError', code: 'bad-segment' },
  })
  // What was committed is asked for while everybody waits.
  expect(await createJobFiles(media).committed(id)).toEqual(new Map([[0, 10]]))
})

test('a segment is no larger than its frames can be', async () => {
  const id = 'a-job-that-is-fat'
  const bytes = await readFile(clip)
  await commit(id, 0, Buffer.concat([bytes, Buffer.alloc(2 << 20)]))
  await expect(checkSegments(media, specOf(id), planOf(id, 1))).rejects.toMatchObject({
    ...{ code: 'bad-segment', message: expect.stringMatching(/10 frames have \d+ at most/) },
  })
})

test('segments that the disk has no room for are not fetched', async () => {
  const id = 'a-job-that-is-huge'
  const bytes = 4e12
  const [, container = ''] = /([^/]+)$/.exec(media.url('')) ?? []
  // Storage keeps nothing of a page blob that nobody has written to.
  const page = connectAccount(services.mediaAccount).getContainerClient(container)
  const metadata = { frames: '1000', replaced: '' }
  await page.getPageBlobClient(layout.segment(id, 0)).create(bytes, { metadata })
  const small = planOf(id, 1)
  const plan: Plan = {
    ...{ ...small, batches: [1_000], frames: 1_000, times: { first: 0, runs: [1, 999] } },
    video: { ...small.video, width: 8_192, height: 8_192 },
  }
  const checked = await checkSegments(media, specOf(id), plan)
  expect(checked.bytes).toEqual([bytes])
  await expect(expectRoom(dir, checked.bytes)).rejects.toMatchObject({
    ...{ name: 'TransientError', message: expect.stringMatching(/need 8000\.00 GB on the disk/) },
  })
  await expectRoom(dir, [1_000])
})
