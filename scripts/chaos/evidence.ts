import { Queue, QueueEvents } from 'bullmq'
import { type StoredRecord, createQuarantine } from '../../src/shared/quarantine.ts'
import type { QueueName } from '../../src/shared/queues.ts'

/** Something put on a queue that nobody can read, and by what its record is known. */
export type Garbage = { what: string; queue: QueueName; entry: string }

export type Evidence = ReturnType<typeof watchEvidence>

const collectEveryMs = 1_000

/**
 * What Redis tells while a storm goes on, and might not know any more at its end: which batches were claimed, and what was
 * put into quarantine. Asked of Redis itself, not through what is being broken.
 */
export function watchEvidence(redisUrl: string, prefix: string) {
  const claims = new Map<string, number>()
  const records = new Map<string, StoredRecord>()
  let garbage: Garbage[] = []

  const events = new QueueEvents('batch', { connection: { url: redisUrl }, prefix })
  events.on('active', ({ jobId }) => claims.set(jobId, (claims.get(jobId) ?? 0) + 1))
  events.on('error', () => {})
  const connection = { url: redisUrl, commandTimeout: 5_000 }
  const queue = new Queue('quarantine', { connection, prefix })
  queue.on('error', () => {})
  const quarantine = createQuarantine(queue)

  /** Redis may be away: then it has nothing new to tell. */
  async function collect(): Promise<void> {
    const found = await quarantine.list(0, 1_000).catch(() => undefined)
    for (const record of found?.records ?? []) records.set(record.id, record)
  }
  let collecting = Promise.resolve()
  const timer = setInterval(() => {
    collecting = collecting.then(collect)
  }, collectEveryMs)

  const recordOf = (wanted: Garbage) =>
    [...records.values()].find(({ queue, entry }) => queue === wanted.queue && entry === wanted.entry)

  return {
    /** Entry → how often it was claimed. */
    claims,
    collect,
    ready: async () => await events.waitUntilReady(),
    injected(what: Garbage): void {
      garbage.push(what)
    },
    /** All that lay in Redis is gone: nobody can find what nobody had found yet. */
    wiped(): void {
      garbage = garbage.filter((each) => recordOf(each))
    },
    garbage: () => garbage.map((each) => ({ ...each, record: recordOf(each) })),
    recordsOf: (jobId: string) => [...records.values()].filter((record) => record.jobId === jobId),
    async stop(): Promise<void> {
      clearInterval(timer)
      await collecting
      await Promise.all([events.close(), queue.close()])
    },
  }
}
