import { mkdir, readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { Queue } from 'bullmq'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { keptSecrets, startRedis } from '../../src/cli/embedded-services.ts'
import { makeClip } from '../support/clips.ts'
import { startEntraRedis } from '../support/entra-redis.ts'
import { type TestStack, startTestStack } from '../support/stack.ts'
import { tempDir } from '../support/temp-dir.ts'

const dir = tempDir()
/** Two workers, each with an engine, the producer and the stitcher. */
const processes = 6
const frames = 120
const batches = 20

let stack: TestStack
let redis: Awaited<ReturnType<typeof startRedis>>
let entra: Awaited<ReturnType<typeof startEntraRedis>>

beforeAll(async () => {
  await mkdir(join(dir, 'logs'))
  redis = await startRedis(dir, await keptSecrets(dir), {})
  // Long enough that a role of a busy machine may stand still for seconds between its next token and the end of the one before.
  entra = await startEntraRedis(redis.env['FRAMEFLEET_REDIS_URL'] ?? '', { dir, lifeSeconds: 20 })
  stack = await startTestStack({ workers: 2, restart: false, env: entra.env })
  await makeClip({ path: join(dir, 'clip.mp4'), frames })
})
afterAll(async () => {
  await stack?.stop()
  await entra?.close()
  await redis?.service?.stop(5_000)
})

test('videos are scored while the tokens of all roles run out again and again, and nobody notices', async () => {
  const jobs: string[] = []
  const wanted = entra.identity.issued.length + 2 * processes
  do {
    const more = [1, 2].map(
      async () => await stack.submit(join(dir, 'clip.mp4'), { batch: { frames: frames / batches } }),
    )
    const ids = await Promise.all(more)
    jobs.push(...ids)
    for (const id of ids) expect(await stack.ends(id)).toMatchObject({ status: 'succeeded' })
  } while (entra.identity.issued.length < wanted)

  for (const id of jobs) {
    const report = (await (await stack.call('GET', `/v1/jobs/${id}/report`)).json()) as {
      incidents?: unknown[]
    }
    expect(report.incidents ?? []).toEqual([])
  }
  const queue = new Queue('batch', { connection: entra.admin, prefix: '{framefleet}' })
  const entries = await queue.getJobs(['completed', 'failed', 'active', 'waiting', 'delayed', 'prioritized'])
  await queue.close()
  expect(entries).toHaveLength(jobs.length * batches)
  expect(entries.map(({ attemptsStarted }) => attemptsStarted).filter((count) => count !== 1)).toEqual([])
  // Every connection showed its next token in time.
  expect(entra.dropped).toEqual([])
  expect(entra.identity.refused).toEqual([])

  const logs = join(stack.dir, 'logs')
  const lines = await Promise.all(
    (await readdir(logs)).map(async (name) => await readFile(join(logs, name), 'utf8')),
  )
  const said = lines.join('\n')
  expect(said).not.toMatch(/NOAUTH|WRONGPASS|redis is away|no token for Redis/)
  for (const { token } of entra.identity.issued) expect(said).not.toContain(token.split('.')[2])
})
