import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Queue } from 'bullmq'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { childPids } from '../../scripts/child-pids.ts'
import { deadlyModel, failingModel, lethalModel } from '../../scripts/chaos/poison-models.ts'
import { makeClip } from '../support/clips.ts'
import { type TestStack, startTestStack } from '../support/stack.ts'
import { tempDir } from '../support/temp-dir.ts'

const dir = tempDir()
let stack: TestStack
let clip: string
/** White all over, in a clip that is stored without loss: the models below can't take them. */
const bad = [33, 47]
const batch = { frames: 60 }

beforeAll(async () => {
  stack = await startTestStack()
  for (const { bytes, manifest } of [deadlyModel(), failingModel(), lethalModel()])
    await stack.addModel(bytes, { ...manifest })
  clip = await makeClip({
    path: join(dir, 'white.mp4'),
    frames: 120,
    size: '96x64',
    filter: `drawbox=color=white:t=fill:enable='${bad.map((frame) => `eq(n,${frame})`).join('+')}'`,
    video: ['-c:v', 'libx264', '-crf', '0', '-preset', 'ultrafast', '-pix_fmt', 'yuv444p'],
  })
})
afterAll(async () => await stack?.stop())

type Report = {
  output?: { sha256: string }
  framesPassedThrough: number[]
  incidents: { class: string; entry: string; message: string; worker: string }[]
  warnings: string[]
}
const reportOf = async (id: string) => (await stack.api.report(id)) as unknown as Report

/** What is in quarantine for a job. */
async function quarantined(jobId: string): Promise<Record<string, unknown>[]> {
  const queue = new Queue('quarantine', {
    connection: { url: stack.stack.env['FRAMEFLEET_REDIS_URL'] },
    prefix: '{framefleet}',
  })
  try {
    const entries = await queue.getJobs()
    return entries
      .map(({ data }) => data as Record<string, unknown>)
      .filter((data) => data['jobId'] === jobId)
  } finally {
    await queue.close()
  }
}

test.each([
  ['kill the engine', 'deadly', 'resource', /its engine died/],
  ['make the model fail', 'failing', 'poison', /the model fails on its frames/],
])('frames that %s are found, and go through as they are', async (_, model, kind, message) => {
  const reference = await stack.submit(clip, { model: 'passthrough', batch })
  const id = await stack.submit(clip, { model, batch, onError: 'passthrough' })
  expect(await stack.ends(id)).toMatchObject({ status: 'succeeded', frames: { done: 120, total: 120 } })
  await stack.ends(reference)

  const report = await reportOf(id)
  expect(report.framesPassedThrough).toEqual(bad)
  expect(report.warnings).toContainEqual(expect.stringMatching(/2 frames can't be scored/))
  // The model changes nothing, and a white frame goes through white: the same bytes as without any poison.
  expect(report.output?.sha256).toBe((await reportOf(reference)).output?.sha256)
  expect(report.incidents.map((incident) => incident.class)).toEqual([kind, kind])
  expect(report.incidents[0]?.message).toMatch(message)
  expect(await quarantined(id)).toEqual([
    expect.objectContaining({ reason: 'poison', frames: bad, entry: `${id}.000000`, queue: 'batch' }),
  ])
})

test('without passthrough the job fails and names the frame; the other batches of the fleet go on', async () => {
  const other = await stack.submit(clip, { model: 'relief', batch: { frames: 10 } })
  const id = await stack.submit(clip, { model: 'deadly', batch })
  expect(await stack.ends(id)).toMatchObject({
    status: 'failed',
    error: { code: 'unscorable-frame', message: expect.stringMatching(/^Frame 33 can't be scored/) },
  })
  expect(await quarantined(id)).toEqual([expect.objectContaining({ frames: [33] })])
  expect(await stack.ends(other)).toMatchObject({ status: 'succeeded' })
  expect((await reportOf(other)).incidents.filter((incident) => incident.class !== 'resource')).toEqual([])
})

test('more bad frames than the job allows fail it', async () => {
  const id = await stack.submit(clip, { model: 'failing', batch, onError: 'passthrough', errorThreshold: 1 })
  expect(await stack.ends(id)).toMatchObject({
    status: 'failed',
    error: { message: expect.stringMatching(/allows 1/) },
  })
})

test('a model that kills whatever loads it fails its own job; no worker is blamed for it', async () => {
  const before = stack.stack.workers().map(({ process }) => process.pid)
  const id = await stack.submit(clip, { model: 'lethal', batch, onError: 'passthrough' })
  expect(await stack.ends(id)).toMatchObject({
    status: 'failed',
    error: { code: 'batch-failed', message: expect.stringMatching(/fails even on a black frame/) },
  })
  expect(await quarantined(id)).not.toEqual([])
  expect(stack.stack.workers().map(({ process }) => process.pid)).toEqual(before)
})

test('a worker whose every engine dies leaves; what it had is done elsewhere', async () => {
  const [unfit] = stack.stack.workers()
  const pid = unfit?.process.pid ?? 0
  const id = await stack.submit(clip, { batch: { frames: 3 } })
  while (unfit?.process.exitCode === null && unfit.process.signalCode === null) {
    for (const child of await childPids(pid)) killIfThere(child)
    await new Promise((resolve) => setImmediate(resolve))
  }
  expect(await stack.ends(id)).toMatchObject({ status: 'succeeded', frames: { done: 120, total: 120 } })
  expect(await readFile(join(stack.dir, 'logs', `${unfit?.name}.ndjson`), 'utf8')).toMatch(/leaving it/)
  expect(await quarantined(id)).toEqual([])
})

function killIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It has gone by itself.
  }
}
