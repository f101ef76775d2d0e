import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { makeClip } from '../support/clips.ts'
import { type TestStack, startTestStack } from '../support/stack.ts'
import { tempDir } from '../support/temp-dir.ts'

const dir = tempDir()
const [ours, theirs, another] = ['token-of-ours-000', 'token-of-theirs-00', 'token-of-another-0']
let stack: TestStack
let url = ''
beforeAll(async () => {
  // Without workers nothing is ever done: what is in line stays there.
  stack = await startTestStack({
    workers: 0,
    env: {
      FRAMEFLEET_PLAN_WORKERS: '1',
      FRAMEFLEET_API_TOKENS: [ours, theirs, another].join(),
      FRAMEFLEET_MAX_QUEUED_FRAMES_PER_CLIENT: '90',
      FRAMEFLEET_MAX_QUEUED_FRAMES: '144',
      FRAMEFLEET_MAX_REQUESTS_PER_SECOND: '40',
    },
  })
  url = await stack.upload(await makeClip({ path: join(dir, 'clip.mp4'), frames: 48 }))
})
afterAll(async () => await stack?.stop())

const post = async (token: string, headers: Record<string, string> = {}) =>
  await stack.call('POST', '/v1/jobs', {
    body: JSON.stringify({ source: { url }, model: 'passthrough' }),
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', ...headers },
  })

/** Posts a job that must be taken, and waits until its frames are counted. */
async function accepted(token: string, headers: Record<string, string> = {}): Promise<string> {
  const answer = await post(token, headers)
  expect({ status: answer.status }).toEqual({ status: 202 })
  const { id } = (await answer.json()) as { id: string }
  await stack.until(id, ({ frames }) => frames.total === 48)
  return id
}

const refusal = async (answer: Response) => ({
  status: answer.status,
  retryAfter: Number(answer.headers.get('retry-after')),
  problem: (await answer.json()) as Record<string, unknown>,
})

test('a caller whose line is full is told what is before it and when to come back; others are not', async () => {
  const first = await accepted(ours, { 'idempotency-key': 'first' })
  await accepted(ours)
  const refused = await refusal(await post(ours))
  expect(refused).toMatchObject({
    status: 429,
    problem: {
      ...{ code: 'too-much-queued', status: 429, line: { frames: 96, jobs: 2 } },
      detail: expect.stringMatching(
        /^You have 96 frames in 2 jobs in line; 90 frames are the limit\..* in 60 s\.$/,
      ),
    },
  })
  expect(refused.retryAfter).toBe(60)

  // The same request as before is no new job.
  const again = await post(ours, { 'idempotency-key': 'first' })
  expect({ status: again.status, job: await again.json() }).toMatchObject({ status: 202, job: { id: first } })

  await accepted(theirs)
  expect(await refusal(await post(another))).toMatchObject({
    status: 429,
    problem: {
      ...{ code: 'too-much-queued', line: { frames: 144, jobs: 3 } },
      detail: expect.stringMatching(/^Only 144 frames may be in line/),
    },
  })
  // What has ended makes room.
  await stack.api.cancel(first)
  await expect.poll(async () => await stack.namesUnder(`open/${first}`)).toEqual([])
  await accepted(another)
})

test('a flood by one token is refused, and keeps no other from being answered', async () => {
  const one = async () =>
    (await stack.call('GET', '/v1/jobs', { headers: { authorization: `Bearer ${ours}` } })).status
  const flood = Array.from({ length: 400 }, one)
  const began = performance.now()
  const other = await stack.call('GET', '/v1/jobs', { headers: { authorization: `Bearer ${another}` } })
  const waited = performance.now() - began
  const statuses = await Promise.all(flood)
  expect(other.status).toBe(200)
  expect(waited).toBeLessThan(5_000)
  const refused = statuses.filter((status) => status === 429).length
  expect(refused).toBeGreaterThan(200)
  expect(statuses.filter((status) => status === 200).length).toBe(400 - refused)

  // Health and metrics need no token, and have no limit.
  const health = await Promise.all(
    Array.from({ length: 100 }, async () => (await fetch(`${stack.stack.apiUrl}/healthz`)).status),
  )
  expect(new Set(health)).toEqual(new Set([200]))
})
