import { setTimeout as nothing } from 'node:timers/promises'
import pMap from 'p-map'
import type { BlobItem, BlobStore } from '../shared/blob-store.ts'
import { layout } from '../shared/layout.ts'

/** Lines of a job, in the order of their times. `next`: where the rest goes on. */
export type FoundLines = { lines: string[]; next?: string }

export type LogSearch = {
  /** Each line that names it is one of the job's. */
  jobId: string
  /** From when to when something may have been said of it. */
  from: Date
  to: Date
  limit: number
  /** What an earlier answer gave as `next`. */
  after?: string
  signal?: AbortSignal
}

const dayMs = 86_400_000
/** A line lies in the folder of the day on which it was sent, which may be the next. */
const lateMs = 600_000
const blobsAtOnce = 4
/** Longer than any line of ours; what is longer is not searched. */
const longestLine = 1 << 20
const mostBytes = 32 << 20

type Line = { key: string; text: string }

/**
 * Gathers a job's lines from the blobs of the days it ran, in bounded memory: the first `limit` after `after`. Blobs that
 * were complete before the job began, or begun after it ended, are not read.
 */
export async function findJobLines(system: BlobStore, search: LogSearch): Promise<FoundLines> {
  const blobs: BlobItem[] = []
  for (const day of daysOf(search)) {
    for await (const item of system.list(layout.logsOf(day))) if (mayHold(item, search)) blobs.push(item)
  }
  const kept = createFirst(search.limit)
  await pMap(
    blobs,
    async ({ name }) => {
      for await (const { at, text } of linesOf(system, name, search)) {
        const time = /"time":"([^"]{1,40})"/.exec(text)?.[1]
        const key = `${time ?? ''} ${name} ${String(at).padStart(12, '0')}`
        if (time !== undefined && (search.after === undefined || key > search.after)) kept.add({ key, text })
      }
    },
    { concurrency: blobsAtOnce, signal: search.signal },
  )
  return kept.first()
}

function daysOf({ from, to }: Pick<LogSearch, 'from' | 'to'>): string[] {
  const first = Math.floor(from.getTime() / dayMs)
  const last = Math.floor((to.getTime() + lateMs) / dayMs)
  return Array.from({ length: last - first + 1 }, (_, i) =>
    new Date((first + i) * dayMs).toISOString().slice(0, 10),
  )
}

function mayHold({ name, modified }: BlobItem, { from, to }: Pick<LogSearch, 'from' | 'to'>): boolean {
  const [, day, time] = /-(\d{8})T(\d{6})\d{3}Z-\d+\.ndjson$/.exec(name) ?? []
  const began = day && time ? Date.parse(`${iso(day, '-')}T${iso(time, ':')}Z`) : 0
  // Storage has times of whole seconds.
  return modified.getTime() + 1_000 >= from.getTime() && began <= to.getTime() + lateMs
}

/** `20261121` as `2026-11-21`, `091500` as `09:15:00`. */
const iso = (digits: string, by: string) => digits.replace(/(\d\d)(\d\d)$/, `${by}$1${by}$2`)

/** The lines of a blob that name the job, and where in it they begin. */
async function* linesOf(
  system: BlobStore,
  name: string,
  { jobId, signal }: Pick<LogSearch, 'jobId' | 'signal'>,
): AsyncGenerator<{ at: number; text: string }> {
  const wanted = Buffer.from(jobId)
  let rest = Buffer.alloc(0)
  let restAt = 0
  for await (const chunk of chunksOf(system, name, signal)) {
    signal?.throwIfAborted()
    const bytes = Buffer.concat([rest, chunk])
    const whole = bytes.lastIndexOf(10) + 1
    for (let from = 0; ;) {
      const hit = bytes.subarray(0, whole).indexOf(wanted, from)
      if (hit === -1) break
      const start = bytes.lastIndexOf(10, hit) + 1
      const end = bytes.indexOf(10, hit)
      yield { at: restAt + start, text: bytes.toString('utf8', start, end) }
      from = end + 1
    }
    rest = bytes.length - whole > longestLine ? Buffer.alloc(0) : Buffer.from(bytes.subarray(whole))
    restAt += bytes.length - rest.length
    // A long blob that names the job often is not to hold up those who wait for the API.
    await nothing(0)
  }
}

/** Nothing of a blob whose days are over meanwhile. */
async function* chunksOf(system: BlobStore, name: string, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
  try {
    yield* system.chunks(name, { signal })
  } catch (error) {
    if ((error as { statusCode?: number }).statusCode !== 404) throw error
  }
}

/** The first lines of all that were added, by their keys. */
function createFirst(limit: number) {
  let lines: Line[] = []
  let bytes = 0
  let more = false
  function cut(): void {
    lines.sort((a, b) => (a.key < b.key ? -1 : 1))
    let sum = 0
    const fits = lines.findIndex(({ text }, i) => {
      sum += text.length
      return i >= limit || (i > 0 && sum > mostBytes)
    })
    if (fits !== -1) {
      more = true
      lines = lines.slice(0, fits)
    }
    bytes = lines.reduce((total, { text }) => total + text.length, 0)
  }
  return {
    add(line: Line): void {
      lines.push(line)
      bytes += line.text.length
      if (lines.length > 2 * limit || bytes > 2 * mostBytes) cut()
    },
    first(): FoundLines {
      cut()
      const last = lines.at(-1)
      return { lines: lines.map(({ text }) => text), ...(more && last ? { next: last.key } : {}) }
    },
  }
}
