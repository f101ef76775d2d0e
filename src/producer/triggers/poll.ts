import pMap from 'p-map'
import { z } from 'zod'
import type { BlobItem, BlobStore } from '../../shared/blob-store.ts'
import { layout } from '../../shared/layout.ts'
import type { Logger } from '../../shared/log.ts'
import { TooMuchQueued } from '../admission.ts'
import type { Chore } from '../chores.ts'
import type { Arrive } from './arrive.ts'
import { type SetAside, isPassing } from './set-aside.ts'
import { toJson } from './to-json.ts'
import type { ArrivalMetrics } from './metrics.ts'

export type PollDeps = {
  media: Pick<BlobStore, 'listPage'>
  system: Pick<BlobStore, 'read' | 'writeJson'>
  arrive: Arrive
  setAside: SetAside
  metrics: ArrivalMetrics
  log: Logger
}

/** `triggers/poll.json`: what landed up to this, by time and then by name, has been looked at. */
const MarkText = z
  .string()
  .transform(toJson)
  .pipe(z.object({ v: z.literal(1), modified: z.iso.datetime(), name: z.string() }))
type Mark = { modified: number; name: string }

const atOnce = 4
type Turn = {
  /** Blobs of one turn: those that landed first. The rest is of the next. */
  most: number
  /** What landed so shortly before a listing may be missing in it: times are whole seconds, and storage's clocks differ. */
  overlapMs: number
  /** A blob that fails for a reason of its own is tried for so long after it landed. */
  givesUpAfterMs: number
}
const usual: Turn = { most: 1_000, overlapMs: 5_000, givesUpAfterMs: 3_600_000 }

/**
 * Looks now and then which blobs have landed, where nobody tells. What is remembered is one point in time, in Blob: blobs
 * near it are looked at again, which starts nothing twice. What lay there before the first look starts nothing.
 */
export function pollChore(deps: PollDeps, everyMs: number, options: Partial<Turn> = {}): Chore {
  return { name: 'poll', everyMs, run: async (signal) => await turn(deps, signal, { ...usual, ...options }) }
}

async function turn(
  { media, system, arrive, setAside, metrics, log }: PollDeps,
  signal: AbortSignal,
  { most, overlapMs, givesUpAfterMs }: Turn,
) {
  const mark = await readMark()
  const { fresh, at } = await landedSince(media, mark, signal, most)
  const first = { modified: at, name: '' }
  if (!mark) {
    await keep(first)
    return {}
  }
  const done: Record<string, number> = {}
  const left: BlobItem[] = []
  let full = false
  await pMap(
    fresh,
    async (item) => {
      if (full || signal.aborted) return left.push(item)
      try {
        const { outcome } = await arrive([item.name], { way: 'poll' })
        if (outcome !== 'known' && outcome !== 'ignored') done[outcome] = (done[outcome] ?? 0) + 1
      } catch (error) {
        // One that fails each time is no reason for all later ones to be looked at again and again.
        if (!isPassing(error) && at - item.modified.getTime() > givesUpAfterMs) {
          // A later version is another one.
          const entry = `${item.modified.toISOString()} ${item.name}`
          await setAside({ entry, message: (error as Error).message, payload: item.name })
          return undefined
        }
        metrics.waits.inc({ way: 'poll' })
        // The others would be refused as well.
        if (error instanceof TooMuchQueued) full = true
        log.warn({ blob: item.name, err: (error as Error).message }, 'a blob that landed has to wait')
        left.push(item)
      }
      return undefined
    },
    { concurrency: atOnce },
  )
  const upTo = earliest([
    { modified: at - overlapMs, name: '' },
    // Before all of that second.
    ...left.map(({ modified }) => ({ modified: modified.getTime(), name: '' })),
    // More may have landed than were looked at.
    ...(fresh.length === most ? fresh.slice(-1).map(markOf) : []),
  ])
  if (fresh.length > 0 && order(mark, upTo) < 0) await keep(upTo)
  return done

  async function readMark(): Promise<Mark | undefined> {
    const bytes = await system.read(layout.triggerPoll)
    if (!bytes) return undefined
    const read = MarkText.safeParse(bytes.toString('utf8'))
    if (!read.success)
      log.error({ blob: layout.triggerPoll }, 'up to where was looked can not be read: from now on')
    return read.data && { ...read.data, modified: Date.parse(read.data.modified) }
  }

  async function keep({ modified, name }: Mark): Promise<void> {
    await system.writeJson(layout.triggerPoll, { v: 1, modified: new Date(modified).toISOString(), name })
  }
}

/** The blobs that landed after the mark, oldest first, and when that was asked, by storage's clock. */
async function landedSince(
  media: PollDeps['media'],
  mark: Mark | undefined,
  signal: AbortSignal,
  most: number,
): Promise<{ fresh: BlobItem[]; at: number }> {
  let fresh: BlobItem[] = []
  let at: number | undefined
  let from: string | undefined
  do {
    signal.throwIfAborted()
    const page = await media.listPage(layout.arrivals, { from })
    at ??= page.at?.getTime()
    const later = mark ? page.items.filter((item) => order(mark, markOf(item)) < 0) : []
    if (later.length > 0)
      fresh = [...fresh, ...later].toSorted((a, b) => order(markOf(a), markOf(b))).slice(0, most)
    from = mark && page.next
  } while (from !== undefined)
  return { fresh, at: at ?? Date.now() }
}

const markOf = ({ name, modified }: BlobItem): Mark => ({ name, modified: modified.getTime() })

const order = (a: Mark, b: Mark) =>
  a.modified - b.modified || (a.name < b.name ? -1 : Number(a.name > b.name))

const earliest = (marks: [Mark, ...Mark[]]): Mark => marks.reduce((a, b) => (order(a, b) <= 0 ? a : b))
