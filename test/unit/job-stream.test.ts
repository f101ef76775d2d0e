import { afterEach, expect, test, vi } from 'vitest'
import type { Job } from '../../src/client/api-types.ts'
import { followJob } from '../../src/client/job-stream.ts'

afterEach(() => void vi.useRealTimers())

const later = (seconds: number) => vi.setSystemTime(Date.now() + seconds * 1_000)
const said = (job: Partial<Job>) => new TextEncoder().encode(`event: job\ndata: ${JSON.stringify(job)}\n\n`)
const running = said({ id: 'a', status: 'scoring', endedAt: null })
const over = said({ id: 'a', status: 'succeeded', endedAt: '2026-01-01T00:00:00.000Z' })

async function jobsOf(open: Parameters<typeof followJob>[0]): Promise<Job[]> {
  const jobs: Job[] = []
  for await (const job of followJob(open, undefined)) jobs.push(job)
  return jobs
}

test('a stream that broke after a long silence is opened again', async () => {
  vi.useFakeTimers({ toFake: ['Date'] })
  const silentAndGone = new ReadableStream<Uint8Array>({
    start: (controller) => controller.enqueue(running),
    pull(controller) {
      later(3_600)
      controller.error(new TypeError('terminated'))
    },
  })
  const streams = [silentAndGone, new ReadableStream<Uint8Array>({ start: (it) => it.enqueue(over) })]
  const jobs = await jobsOf(async () => streams.shift() as ReadableStream)
  expect(jobs.at(-1)).toMatchObject({ status: 'succeeded' })
  expect(streams).toEqual([])
})

test('streams that fail to open for more than a minute are an error', async () => {
  vi.useFakeTimers({ toFake: ['Date'] })
  let tries = 0
  const open = async () => {
    tries++
    later(40)
    return await Promise.reject(new TypeError('fetch failed'))
  }
  await expect(jobsOf(open)).rejects.toThrow('fetch failed')
  // The first one failed after 40 s: a minute later is that of the third.
  expect(tries).toBe(3)
})
