import { firstTag, lastTag } from './fair-order.ts'

/** A batch that waits: its virtual start time, as it stands. */
export type Waiting = { entry: string; tag: number }

/** What waits of a job, by batch number, and how it should be, in virtual time. */
export type Line = {
  waiting: Waiting[]
  /** From the start of the first that is ahead to the start of the last. */
  span: number
  /** From the start of the first that is ahead to its end. */
  step: number
}

export type Move = Waiting & { to: number }

/** Less than this is no reason to move anything. */
const slack = 60
const tolerance = 1.5

/**
 * Where the batches of a job should start that don't: weights change when a client's other jobs come and end, a pace is
 * measured that was guessed, entries were written by somebody else. Pure; applied once, it finds nothing more to do.
 *
 *   out of order       a batch never starts after one that comes later in the video
 *   begins too late    in a fair queue nobody is further behind than one batch of its own: whole lines move up
 *   too long or short  the line is stretched, or drawn together, from its beginning
 *
 * `now` is the virtual time; batches before it were put back, and are left where they are.
 */
export function reorder(now: number, { waiting, span, step }: Line): Move[] {
  const { tags, from } = ahead(now, waiting)
  if (from < 0) return moves(waiting, tags)
  const [first = 0, last = 0] = [tags[from], tags.at(-1)]
  const begin = Math.min(first, Math.ceil(now + 2 * step + slack))
  const room = Math.max(0, Math.min(span, lastTag - begin))
  const real = last - first
  const isOff = room > tolerance * real + slack || real > tolerance * room + slack
  const wanted = isOff ? room : real
  const rest = tags.length - 1 - from
  return moves(
    waiting,
    tags.map((tag, i) => {
      if (i < from) return tag
      // Where all start at once nothing tells them apart but their order.
      const part = real > 0 ? (tag - first) / real : rest > 0 ? (i - from) / rest : 0
      return Math.round(begin + part * wanted)
    }),
  )
}

/** The tags in order, and which is the first that is not before `now`; -1 when there is none. */
export function ahead(now: number, waiting: Waiting[]): { tags: number[]; from: number } {
  const tags = ascending(waiting.map(({ tag }) => tag))
  return { tags, from: tags.findIndex((tag) => tag >= now) }
}

/** Each as late as it is, but never later than one after it. */
function ascending(tags: number[]): number[] {
  let least = lastTag
  return tags.map((_, i) => (least = Math.min(least, tags[tags.length - 1 - i] as number))).toReversed()
}

function moves(waiting: Waiting[], tags: number[]): Move[] {
  return waiting.flatMap(({ entry, tag }, i) => {
    const to = Math.min(lastTag, Math.max(firstTag, tags[i] as number))
    return to === tag ? [] : [{ entry, tag, to }]
  })
}
