import { hostname } from 'node:os'
import { setTimeout as pause } from 'node:timers/promises'
import { Counter, type Registry } from 'prom-client'
import type { BlobStore } from './blob-store.ts'
import { type AppendedLog, createAppendedLog } from './appended-log.ts'
import { layout } from './layout.ts'
import type { Logger } from './log.ts'
import { sparingly } from './sparingly.ts'

/** Lines that wait beyond this are dropped, the newest first: what led to the trouble is worth more than its echo. */
const mostWaitingBytes = 8 << 20
/** One append takes 4 MiB at most, whatever the version of the service. */
const blockBytes = 2 << 20
/** One that is longer would be found by no search, and might never be taken. */
const longestLine = 1 << 20

export type ShipTo = {
  system: BlobStore
  /** The machine and the process; two at once must not share it. */
  instance: string
  log: Pick<Logger, 'warn'>
  registry?: Registry
}

/**
 * Takes log lines to the system container, so that they outlive the machine. Nobody waits for it, and no work fails by it.
 *
 *   line ──► waiting (8 MiB at most, else dropped and counted) ──every few seconds──► block on its way ──► appended
 *                                                                        ▲                 │
 *                                                                        └── not taken ────┘   the same bytes again, at the
 *                                                                                              same place: never twice
 *
 * A process that is killed loses the lines of the last few seconds. With `everyMs` 0 nothing is taken.
 */
export function createLogShipping(
  role: string,
  { everyMs, mostBytes = mostWaitingBytes }: { everyMs: number; mostBytes?: number },
) {
  const startedAt = new Date()
  const leaving = new AbortController()
  let waiting: Buffer[] = []
  let waitingBytes = 0
  let dropped = 0
  let onWay: Buffer | undefined
  let appended: AppendedLog | undefined
  let loop = Promise.resolve()
  let warn: (error: Error) => void = () => {}
  let count: Counter | undefined

  function take(line: string): void {
    if (everyMs === 0) return
    const bytes = Buffer.from(line)
    if (bytes.length > longestLine || waitingBytes + bytes.length > mostBytes) {
      dropped += 1
      count?.inc()
      return
    }
    waiting.push(bytes)
    waitingBytes += bytes.length
  }

  /** The next block: whole lines, as many as it holds, and a word on those that are missing. */
  function nextBlock(): Buffer | undefined {
    if (dropped > 0) {
      const lines = dropped
      dropped = 0
      const msg = 'log lines were dropped: too long, or faster than storage took them'
      waiting.push(
        Buffer.from(
          `${JSON.stringify({ level: 'warn', time: new Date().toISOString(), role, pid: process.pid, lines, msg })}\n`,
        ),
      )
    }
    let bytes = 0
    const fits = waiting.findIndex((line, i) => {
      bytes += line.length
      return i > 0 && bytes > blockBytes
    })
    const block = Buffer.concat(waiting.splice(0, fits === -1 ? waiting.length : fits))
    waitingBytes = waiting.reduce((sum, line) => sum + line.length, 0)
    return block.length > 0 ? block : undefined
  }

  async function flush(to: AppendedLog, signal?: AbortSignal): Promise<void> {
    for (;;) {
      onWay ??= nextBlock()
      if (!onWay) return
      await to.append(onWay, signal)
      onWay = undefined
    }
  }

  return {
    take,
    /** From now on what was taken goes to storage; to be called once. */
    begin({ system, instance, log, registry }: ShipTo): void {
      if (everyMs === 0) return
      warn = sparingly<Error>((error) => log.warn({ err: error.message }, 'log lines wait: storage'), {
        most: 1,
        everyMs: 60_000,
      })
      if (registry)
        count = new Counter({
          name: 'framefleet_log_lines_dropped_total',
          help: 'Log lines that did not go to storage, because too many waited or they were too long',
          registers: [registry],
        })
      const name = layout.log(role, instance, startedAt)
      const to = createAppendedLog(system, name)
      appended = to
      loop = (async () => {
        while (!leaving.signal.aborted) {
          await pause(everyMs, undefined, { signal: leaving.signal, ref: false }).catch(() => {})
          if (leaving.signal.aborted) return
          await flush(to, leaving.signal).catch((error: Error) => {
            if (!leaving.signal.aborted) warn(error)
          })
        }
      })()
    },
    /** Sends what waits, as far as that goes within this time. What comes later stays here. */
    async close(withinMs = 2_000): Promise<void> {
      leaving.abort()
      await loop
      if (appended) await flush(appended, AbortSignal.timeout(withinMs)).catch(() => {})
    },
  }
}

/** This process, as the names of its blobs begin; `machine` is what others call its machine, if they do. */
export const processName = (machine = '') => `${machine || hostname()}-${process.pid}`
