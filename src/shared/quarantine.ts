import { createHash } from 'node:crypto'
import type { Queue } from 'bullmq'
import { z } from 'zod'
import { Incident } from './incident.ts'
import { JobId } from './job.ts'
import { redact } from './redact.ts'

/**
 * What was taken out of the way of everything else, with the evidence: work that failed each time it was tried, and
 * what lay on a queue but can't be read. Nobody takes from this queue; people look at it, and retry or drop.
 */
export const QuarantineRecord = z
  .object({
    v: z.literal(1),
    at: z.iso.datetime(),
    queue: z.string().describe('where it was found'),
    entry: z.string().describe('its id there'),
    jobId: JobId.optional(),
    reason: z.enum(['poison', 'unreadable', 'refused']),
    message: z.string().describe('one sentence'),
    frames: z.array(z.number().int()).max(1_000).describe('frames of the source, counted from 0'),
    incidents: z.array(Incident).max(20).describe('its latest failures'),
    payload: z.string().max(4_096).describe('what it carried, cut'),
  })
  .meta({ id: 'QuarantineRecord' })
export type QuarantineRecord = z.infer<typeof QuarantineRecord>

export type StoredRecord = QuarantineRecord & { id: string }

export type Quarantine = ReturnType<typeof createQuarantine>

/** Records kept; the oldest go. With at most 16 kB each they take 160 MB of Redis. */
const mostRecords = 10_000
const mostIncidents = 5
const longestWords = 500

export function createQuarantine(queue: Queue, most = mostRecords) {
  async function find(id: string): Promise<StoredRecord | undefined> {
    // One that can't be read, because somebody wrote into Redis, is none.
    const entry = await queue.getJob(id).catch((error: Error) => {
      if (error instanceof SyntaxError || error.message.startsWith('WRONGTYPE')) return undefined
      throw error
    })
    const read = QuarantineRecord.safeParse(entry?.data)
    return read.success ? { id, ...read.data } : undefined
  }

  async function drop(id: string): Promise<boolean> {
    if (!(await find(id))) return false
    return (await queue.remove(id)) === 1
  }

  return {
    find,
    drop,
    /**
     * Keeps the evidence, once for each entry: the first record stays. Texts are redacted and cut. Answers the id of the
     * record, if it is a new one.
     */
    async put(record: QuarantineRecord): Promise<string | undefined> {
      const kept = QuarantineRecord.parse(bounded(record))
      const id = recordId(record)
      const known = await find(id)
      await queue.add('quarantine', kept, { jobId: id, attempts: 1 })
      for (const old of await queue.getRanges(['wait'], most, -1)) await queue.remove(old)
      return known ? undefined : id
    },
    /** Newest first. */
    async list(offset: number, limit: number): Promise<{ total: number; records: StoredRecord[] }> {
      const [total, ids] = await Promise.all([
        queue.getWaitingCount(),
        queue.getRanges(['wait'], offset, offset + limit - 1),
      ])
      const records = await Promise.all(ids.map(find))
      return { total, records: records.filter((record) => record !== undefined) }
    },
    /** Drops all records of a job. */
    async dropJob(jobId: string): Promise<void> {
      const ids = await queue.getRanges(['wait'], 0, -1)
      const its = new RegExp(`^[a-z]+\\.${jobId}(?:\\.|$)`)
      for (const id of ids.filter((each) => its.test(each))) await drop(id)
    },
  }
}

/** The id of an entry's record: the same for the same entry, and safe in a URL, a key and a file name. */
function recordId({ queue, entry }: Pick<QuarantineRecord, 'queue' | 'entry'>): string {
  const plain = `${queue}.${entry}`
  if (/^[A-Za-z0-9._-]{1,120}$/.test(plain)) return plain
  const digest = createHash('sha256').update(plain).digest('hex').slice(0, 12)
  return `${plain.replaceAll(/[^A-Za-z0-9._-]+/g, '-').slice(0, 80)}.${digest}`
}

function bounded(record: QuarantineRecord): QuarantineRecord {
  const cut = (text: string, length: number) => redact(text.slice(0, length)).slice(0, length)
  return {
    ...record,
    entry: cut(record.entry, 200),
    message: cut(record.message, 1_000),
    frames: record.frames.slice(0, 1_000),
    incidents: record.incidents.slice(-mostIncidents).map(({ message, tail, ...incident }) => ({
      ...incident,
      message: cut(message, longestWords),
      ...(tail === undefined ? {} : { tail: redact(tail).slice(-longestWords) }),
    })),
    payload: cut(record.payload, 4_096),
  }
}
