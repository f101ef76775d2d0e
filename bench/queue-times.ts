import { Queue } from 'bullmq'
import { pino } from 'pino'
import { readConfig, redisSettings } from '../src/shared/config.ts'
import { connectRedis } from '../src/shared/redis.ts'
import { entryIds } from '../src/shared/queues.ts'

type BatchTimes = {
  worker: string
  frames: number
  /** When it was claimed and when its segment was committed, in ms of the clock. */
  from: number
  to: number
  /** Milliseconds of its phases, which overlap. */
  ms: Record<string, number>
}

/** When a job's pieces of work began and ended, as the queue itself has noted: asking costs the work nothing. */
export type QueueTimes = { split: Span; batches: BatchTimes[]; stitch: Span }
type Span = { from: number; to: number }

export async function readQueueTimes(
  env: NodeJS.ProcessEnv,
  jobId: string,
  batches: number,
): Promise<QueueTimes> {
  const config = readConfig(redisSettings, env)
  const connection = connectRedis(config, pino({ level: 'silent' }), { name: 'bench' })
  const prefix = config.FRAMEFLEET_QUEUE_PREFIX
  const entry = async (queue: string, id: string) => {
    const found = await new Queue(queue, { connection, prefix }).getJob(id)
    if (!found) throw new Error(`the ${queue} entry ${id} is gone from the queue`)
    const { processedOn: from = 0, finishedOn: to = 0, processedBy: worker = '' } = found
    return { from, to, worker, ...(found.returnvalue as Pick<BatchTimes, 'ms' | 'frames'>) }
  }
  try {
    return {
      split: await entry('split', entryIds.split(jobId)),
      batches: await Promise.all(
        Array.from({ length: batches }, async (_, i) => await entry('batch', entryIds.batch(jobId, i))),
      ),
      stitch: await entry('stitch', entryIds.stitch(jobId)),
    }
  } finally {
    connection.disconnect()
  }
}
