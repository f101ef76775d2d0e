import type { Redis } from 'ioredis'
import { BatchPayload } from '../shared/job.ts'
import { createJobStatuses } from '../shared/job-status.ts'
import { jobOfEntry } from '../shared/queues.ts'
import type { Chore } from './chores.ts'
import { firstTag, lastTag, usualPriority, weigh } from './fair-order.ts'
import { type FairOrder, isOwnBatch, tagOf, tagUnit, virtualNow } from './fair-queue.ts'
import { type Line, type Move, type Waiting, ahead, reorder } from './reorder.ts'

export type KeepOrderDeps = {
  redis: Redis
  prefix: string
  share: number
  order: Pick<FairOrder, 'reckon'>
}

/** Batches that are looked at in one turn; those behind them are far from being taken. */
const mostLooked = 100_000
const page = 1_000
/** Entries in one step: some milliseconds of Redis. */
const chunk = 200
/** Later than this the times begin anew, so that there is room for long jobs at any time. */
const late = (lastTag + 1) / 2

// ARGV: base, what a tag is in a score, then entry, tag, new tag of each. What was claimed meanwhile is in no place any more,
// but may be put back by what its hash says.
const moveScript = `
local place, unit, moved = ARGV[1] .. 'prioritized', tonumber(ARGV[2]), 0
for i = 3, #ARGV, 3 do
  local id, tag, to = ARGV[i], tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2])
  local key = ARGV[1] .. id
  local score = tonumber(redis.call('ZSCORE', place, id) or '')
  if redis.call('TYPE', key).ok == 'hash' then
    if score and math.floor(score / unit) == tag then
      redis.call('ZADD', place, 'XX', string.format('%.0f', to * unit + score % unit), id)
      redis.call('HSET', key, 'priority', to)
      moved = moved + 1
    elseif not score and tonumber(redis.call('HGET', key, 'priority') or '') == tag then
      redis.call('HSET', key, 'priority', to)
    end
  end
end
return moved`

/**
 * Keeps the order of the batches fair while things change (see reorder), and the virtual time small: once it is past the middle
 * of what BullMQ has room for, all of it is set back. Safe while workers claim, batches are added and put back: an entry is
 * moved in one step, and only while it is where it was seen. What breaks off half-way is mended at the next turn.
 */
export function keepOrderChore({ redis, prefix, share, order }: KeepOrderDeps, everyMs = 5_000): Chore {
  const base = `${prefix}:batch:`
  const statuses = createJobStatuses(redis, prefix)
  return {
    name: 'order',
    everyMs,
    async run(signal) {
      const now = await virtualNow(redis, prefix)
      const moved = now > late ? await setBack(now - firstTag, signal) : await regulate(now, signal)
      return { moved }
    },
  }

  /** Everything that waits, is at work or is to be tried again begins so much earlier; what goes next is moved first. */
  async function setBack(by: number, signal: AbortSignal): Promise<number> {
    let moved = 0
    const back = (waiting: Waiting[]) =>
      waiting.map(({ entry, tag }) => ({ entry, tag, to: Math.max(firstTag, tag - by) }))
    // They may come back to the queue.
    moved += await move(back(await elsewhere()), signal)
    for (let from = '-inf'; ;) {
      const some = await redis.zrangebyscore(
        `${base}prioritized`,
        from,
        '+inf',
        'WITHSCORES',
        'LIMIT',
        0,
        chunk,
      )
      if (some.length === 0 || signal.aborted) return moved
      moved += await move(back(pairs(some)), signal)
      // Those that were moved lie before it now.
      from = `(${some.at(-1)}`
    }
  }

  async function regulate(now: number, signal: AbortSignal): Promise<number> {
    const byJob = new Map<string, Waiting[]>()
    for (let from = 0; from < mostLooked && !signal.aborted; from += page) {
      const some = await redis.zrange(
        `${base}prioritized`,
        String(from),
        String(from + page - 1),
        'WITHSCORES',
      )
      for (const waiting of pairs(some)) {
        const job = jobOfEntry('batch', waiting.entry) as string
        const line = byJob.get(job)
        if (line) line.push(waiting)
        else byJob.set(job, [waiting])
      }
      if (some.length < 2 * page) break
    }
    // One alone has everything.
    if (byJob.size < 2) return 0
    const moves = (await linesOf(now, byJob)).flatMap((line) => reorder(now, line))
    return await move(
      moves.toSorted((a, b) => a.to - b.to),
      signal,
    )
  }

  /** What waits of each job, as far as it can be told how it should stand. */
  async function linesOf(now: number, byJob: Map<string, Waiting[]>): Promise<Line[]> {
    const jobs = [...byJob.keys()]
    const lines = jobs.map((job) => inVideoOrder(byJob.get(job) ?? []))
    const ends = lines.flatMap((waiting) => {
      const { from } = ahead(now, waiting)
      return [waiting[Math.max(0, from)], waiting.at(-1)].map((each) => each?.entry ?? '')
    })
    const [works, payloads, reckoning] = await Promise.all([
      statuses.works(jobs),
      payloadsOf(ends),
      order.reckon(),
    ])
    const standings = weigh(
      works.map((work) => ({ client: work?.client ?? '-', priority: work?.priority ?? usualPriority })),
      share,
    )
    return lines.flatMap((waiting, i) => {
      const [work, first, last] = [works[i], payloads[2 * i], payloads[2 * i + 1]]
      const weight = standings[i]?.weight
      if (!work || !first || !last || !weight) return []
      const { secondsPerFrame, setUpSeconds } = reckoning(work)
      const virtual = (frames: number, batches: number) =>
        (frames * secondsPerFrame + batches * setUpSeconds) / weight
      const span = virtual(last.first - first.first, last.index - first.index)
      return [{ waiting, span, step: virtual(first.count, 1) }]
    })
  }

  async function payloadsOf(entries: string[]): Promise<(BatchPayload | undefined)[]> {
    const reading = redis.pipeline()
    for (const entry of entries) reading.hget(base + entry, 'data')
    return ((await reading.exec()) ?? []).map(([, data]) => parse(data))
  }

  /** What is at work, or will be tried again later. */
  async function elsewhere(): Promise<Waiting[]> {
    const [active, delayed] = await Promise.all([
      redis.lrange(`${base}active`, 0, mostLooked),
      redis.zrange(`${base}delayed`, '0', String(mostLooked)),
    ])
    const found: Waiting[] = []
    for (const some of chunks([...active, ...delayed])) {
      const reading = redis.pipeline()
      for (const entry of some) reading.hget(base + entry, 'priority')
      const tags = ((await reading.exec()) ?? []).map(([, priority]) => Number(priority))
      found.push(...some.map((entry, i) => ({ entry, tag: tags[i] ?? 0 })))
    }
    return found.filter(({ tag }) => tag > firstTag)
  }

  async function move(all: Move[], signal: AbortSignal): Promise<number> {
    let moved = 0
    for (const some of chunks(all)) {
      if (signal.aborted) break
      const args = some.flatMap(({ entry, tag, to }) => [entry, tag, to])
      moved += Number(await redis.eval(moveScript, 1, base, base, tagUnit, ...args))
    }
    return moved
  }
}

/** Ids and scores as Redis lists them, without those that are not ours to move. */
function pairs(list: string[]): Waiting[] {
  const found: Waiting[] = []
  for (let i = 0; i < list.length; i += 2) {
    const [entry = '', tag] = [list[i], tagOf(list[i + 1] ?? '')]
    if (tag !== undefined && isOwnBatch(entry)) found.push({ entry, tag })
  }
  return found
}

const numbered = /\.(\d+)$/

const numberOf = ({ entry }: Waiting) => Number(numbered.exec(entry)?.[1])
const inVideoOrder = (waiting: Waiting[]) => waiting.toSorted((a, b) => numberOf(a) - numberOf(b))

const chunks = <T>(all: T[]): T[][] =>
  Array.from({ length: Math.ceil(all.length / chunk) }, (_, i) => all.slice(i * chunk, (i + 1) * chunk))

function parse(data: unknown): BatchPayload | undefined {
  try {
    return BatchPayload.safeParse(JSON.parse(String(data))).data
  } catch {
    return undefined
  }
}
