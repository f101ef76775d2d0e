import { Queue } from 'bullmq'
import { pino } from 'pino'
import { readConfig, redisSettings } from '../../../src/shared/config.ts'
import { BatchResult } from '../../../src/shared/job.ts'
import { entryIds } from '../../../src/shared/queues.ts'
import { connectRedis } from '../../../src/shared/redis.ts'
import type { BatchSpan } from './figures.ts'

/** What the batch queue itself has noted: asking costs the work nothing. */
export type QueueNotes = ReturnType<typeof openQueueNotes>

export function openQueueNotes(env: NodeJS.ProcessEnv) {
  const config = readConfig(redisSettings, env)
  const redis = connectRedis(config, pino({ level: 'silent' }), { name: 'bench' })
  const prefix = config.FRAMEFLEET_QUEUE_PREFIX
  const queue = new Queue('batch', { connection: redis, prefix })
  const splits = new Queue('split', { connection: redis, prefix })

  /** The queue's own stream of events, with Redis' clock in ms. */
  async function events(
    jobId: string,
  ): Promise<{ at: number; event: string; entry: string; result: string }[]> {
    const rows = await redis.xrange(`${prefix}:batch:events`, '-', '+')
    return rows.flatMap(([id, fields]) => {
      const of = (name: string) => fields[fields.indexOf(name) + 1] ?? ''
      const entry = fields.includes('jobId') ? of('jobId') : ''
      const result = fields.includes('returnvalue') ? of('returnvalue') : ''
      return entry.startsWith(`${jobId}.`)
        ? [{ at: Number.parseInt(id), event: of('event'), entry, result }]
        : []
    })
  }

  return {
    /** One for each batch of an ended job, in order; `paceOf` tells what a frame takes on a worker. */
    async spans(jobId: string, batches: number, paceOf: (worker: string) => number): Promise<BatchSpan[]> {
      const spans = Array.from({ length: batches }, async (_, index) => {
        const found = await queue.getJob(entryIds.batch(jobId, index))
        if (!found?.processedOn || !found.finishedOn) throw new Error(`batch ${index} has not ended`)
        const { frames, skipped, ms } = BatchResult.parse(found.returnvalue)
        const worker = found.processedBy ?? ''
        return {
          ...{ index, worker, frames, pace: paceOf(worker), skipped: skipped !== undefined },
          ...{ from: found.processedOn, to: found.finishedOn, inferMs: ms['infer'] ?? 0 },
        }
      })
      return await Promise.all(spans)
    },
    /**
     * Of the batches that are committed so far, by an entry or by a copy of one: how many they are, the frames of the largest,
     * and when the last one was.
     */
    async committed(jobId: string): Promise<{ batches: number; largest: number; lastAt: number }> {
      const commits = (await events(jobId)).flatMap(({ at, event, entry, result }) => {
        const { frames, skipped } =
          event === 'completed' ? BatchResult.parse(JSON.parse(result)) : { frames: 0, skipped: true }
        return skipped === undefined ? [{ at, frames, batch: entry.replace(/\.copy$/, '') }] : []
      })
      return {
        batches: new Set(commits.map(({ batch }) => batch)).size,
        largest: Math.max(0, ...commits.map(({ frames }) => frames)),
        lastAt: Math.max(0, ...commits.map(({ at }) => at)),
      }
    },
    /** Copies of slow batches that were put on. */
    async copies(jobId: string): Promise<number> {
      return (await events(jobId)).filter(({ event, entry }) => event === 'added' && entry.endsWith('.copy'))
        .length
    },
    /** When the job's split ended: its batches were on the queue. */
    async splitAt(jobId: string): Promise<number> {
      return (await splits.getJob(entryIds.split(jobId)))?.finishedOn ?? Number.NaN
    },
    async close(): Promise<void> {
      await Promise.all([queue.close(), splits.close()])
      redis.disconnect()
    },
  }
}
