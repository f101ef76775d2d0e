import { type AppendedLog, createAppendedLog } from '../../shared/appended-log.ts'
import type { BlobStore } from '../../shared/blob-store.ts'
import { TransientError } from '../../shared/errors.ts'
import { layout } from '../../shared/layout.ts'
import { TooManyRequests } from '../fair-share.ts'
import type { Reading } from './reading.ts'
import { folderOf, hourOf, isClosed } from './reading-hours.ts'

/** Readings that wait for storage beyond this are refused. */
const mostWaitingBytes = 32 << 20
/** One append takes 4 MiB at most, whatever the version of the service. */
const blockBytes = 2 << 20
/** A caller waits no longer; nor is anything appended later, so that an hour that is closed stays as it is. */
const patienceMs = 20_000

type Piece = { bytes: Buffer; until: number; taken(): void; failed(error: unknown): void }
type Lane = { hour: number; waiting: Piece[]; log?: AppendedLog; blobs: number; working: boolean }

export type ReadingsBuffer = ReturnType<typeof createReadingsBuffer>

/**
 * Keeps readings in blobs of the hour, one of this process alone in each; says so once they are there.
 *
 *   take ──► waiting, in the lane of its hour (32 MiB in all, else refused) ──► in a block with its neighbours ──► there
 *                                       │                                              │
 *                                       └───────── 20 s over, or storage refuses ──────┴──► failed: to be sent again
 *
 * What has failed may be there all the same: at least once, not exactly.
 */
export function createReadingsBuffer(
  media: BlobStore,
  options: {
    /** The machine and the process; two at once must not share it. */
    instance: string
    graceMs: number
    now?: () => number
    mostBytes?: number
    patienceMs?: number
  },
) {
  const { instance, graceMs, now = Date.now, mostBytes = mostWaitingBytes } = options
  const patience = options.patienceMs ?? patienceMs
  const startedAt = new Date()
  const lanes = new Map<number, Lane>()
  let waitingBytes = 0

  function laneOf(hour: number): Lane {
    for (const [old, { waiting, working }] of lanes)
      if (!working && waiting.length === 0 && isClosed(old, now(), graceMs)) lanes.delete(old)
    const lane = lanes.get(hour) ?? { hour, waiting: [], blobs: 0, working: false }
    lanes.set(hour, lane)
    return lane
  }

  const openLog = (lane: Lane) =>
    createAppendedLog(media, () =>
      layout.readingsBlob(folderOf(lane.hour), instance, startedAt, lane.blobs++),
    )

  async function work(lane: Lane): Promise<void> {
    if (lane.working) return
    lane.working = true
    while (lane.waiting.length > 0) {
      const pieces = nextBlock(lane.waiting)
      const until = Math.min(...pieces.map((piece) => piece.until))
      try {
        await append(lane, Buffer.concat(pieces.map(({ bytes }) => bytes)), until)
        for (const piece of pieces) piece.taken()
      } catch (error) {
        // Whether the block is there is not known: the next one must not be taken for it.
        lane.log = undefined
        for (const piece of pieces) piece.failed(error)
      }
    }
    lane.working = false
  }

  async function append(lane: Lane, block: Buffer, until: number): Promise<void> {
    const left = until - performance.now()
    if (left <= 0) throw tooSlow()
    const signal = AbortSignal.timeout(Math.ceil(left))
    const tryOnce = async () => {
      lane.log ??= openLog(lane)
      await lane.log.append(block, signal)
    }
    try {
      // A blob that is gone or was written to by somebody else is left; the second try begins another one.
      await tryOnce().catch(async (error: unknown) => {
        if (!isLeft(error)) throw error
        await tryOnce()
      })
    } catch (error) {
      throw signal.aborted ? tooSlow() : error
    }
  }

  /** Durable once this resolves. Throws TooManyRequests where too much waits, and what storage threw. */
  async function take(readings: Reading[]): Promise<{ taken: number; late: number }> {
    const arrived = now()
    const perHour = new Map<number, string[]>()
    let late = 0
    for (const { at, line } of readings) {
      const { hour, isLate } = hourOf(at, arrived, graceMs)
      if (isLate) late += 1
      const lines = perHour.get(hour)
      if (lines) lines.push(line)
      else perHour.set(hour, [line])
    }
    const pieces = [...perHour].flatMap(([hour, lines]) => cut(lines).map((bytes) => ({ hour, bytes })))
    const total = pieces.reduce((sum, { bytes }) => sum + bytes.length, 0)
    if (waitingBytes + total > mostBytes)
      throw new TooManyRequests('Readings come faster than storage takes them.', 5)
    waitingBytes += total
    const until = performance.now() + patience
    try {
      const outcomes = await Promise.allSettled(
        pieces.map(async ({ hour, bytes }) => {
          const { promise, resolve, reject } = Promise.withResolvers<void>()
          const lane = laneOf(hour)
          lane.waiting.push({ bytes, until, taken: resolve, failed: reject })
          void work(lane)
          await promise
        }),
      )
      const refused = outcomes.find(({ status }) => status === 'rejected')
      if (refused?.status === 'rejected') throw refused.reason
      return { taken: readings.length, late }
    } finally {
      waitingBytes -= total
    }
  }

  return { take, waitingBytes: () => waitingBytes }
}

/** As many as one append takes, and one at least. */
function nextBlock(waiting: Piece[]): Piece[] {
  let bytes = 0
  const fits = waiting.findIndex((piece, i) => {
    bytes += piece.bytes.length
    return i > 0 && bytes > blockBytes
  })
  return waiting.splice(0, fits === -1 ? waiting.length : fits)
}

/** Whole lines, in pieces that one append takes. */
function cut(lines: string[]): Buffer[] {
  const pieces: Buffer[] = []
  let from = 0
  let bytes = 0
  for (const [i, line] of lines.entries()) {
    const length = Buffer.byteLength(line)
    if (bytes + length > blockBytes) {
      pieces.push(Buffer.from(lines.slice(from, i).join('')))
      from = i
      bytes = 0
    }
    bytes += length
  }
  pieces.push(Buffer.from(lines.slice(from).join('')))
  return pieces
}

const isLeft = (error: unknown) =>
  error instanceof Error && 'statusCode' in error && [404, 409, 412].includes(Number(error.statusCode))

const tooSlow = () =>
  new TransientError('storage did not take the readings in time; those that came with them may be there')
