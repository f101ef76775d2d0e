import type { Logger } from './log.ts'

/**
 * How every role runs and leaves.
 *
 *   starting ──► running ──SIGTERM, SIGINT, or told from inside──► draining ──► empty ──► closed, exit 0
 *      │                                                              │
 *      └─ failed: exit 1                        second signal, or not empty in time: exit 1
 *
 * `start` builds the role and answers how to `drain` it (take nothing new, let work end within that time, or give it
 * back) and how to `close` what it opened. Only main.ts files call this.
 */
export type RunningRole = { drain(withinMs: number, why: string): Promise<void>; close(): Promise<void> }

export type RoleProcess = {
  log: Logger
  /** Closed last, whatever happens: the lines before it are to outlive the process. */
  shipping: { close(): Promise<void> }
  /** What running work has to end in, once told to leave. */
  drainMs: number
}

/** Why a role leaves by itself. */
export type LeaveOrder = {
  why: string
  /** What running work has to end in. */
  withinMs: number
  /** Done once nothing is under way any more, before what the role opened is closed. */
  whenEmpty?: () => Promise<void>
}

/** What a role that does not get empty in time is left beyond it, to give its work back and to close. */
const graceMs = 10_000

export async function runRole(
  { log, shipping, drainMs }: RoleProcess,
  start: (leave: (order: LeaveOrder) => void) => Promise<RunningRole>,
): Promise<void> {
  let role: RunningRole | undefined
  let leaving: { until: number; deadline: NodeJS.Timeout } | undefined
  let signals = 0
  // Drained or not, a role that can't leave by itself is ended: its work is claimed by others when its lease ends.
  const exitAfter = (withinMs: number) => ({
    until: Date.now() + withinMs,
    deadline: setTimeout(() => {
      log.warn('leaving took too long: exiting')
      process.exit(1)
    }, withinMs + graceMs),
  })
  const exitTold = async () => {
    await shipping.close()
    process.exit(1)
  }
  const leave = async ({ why, withinMs, whenEmpty }: LeaveOrder) => {
    if (leaving) return hurry(why, withinMs)
    leaving = exitAfter(withinMs)
    log.info({ why, withinMs }, 'leaving: taking nothing new')
    try {
      await role?.drain(withinMs, why)
      await whenEmpty?.()
      await role?.close()
      log.info('left')
    } catch (err) {
      log.error({ err }, 'leaving failed')
      process.exitCode = 1
    }
    await shipping.close()
    clearTimeout(leaving.deadline)
    process.exit()
  }
  /** Told to leave while leaving: by somebody who gives it less time, such as a SIGTERM after a notice of minutes. */
  const hurry = (why: string, withinMs: number) => {
    if (!leaving || Date.now() + withinMs >= leaving.until) return
    log.info({ why, withinMs }, 'leaving sooner')
    clearTimeout(leaving.deadline)
    leaving = exitAfter(withinMs)
    role?.drain(withinMs, why).catch((err: unknown) => log.error({ err }, 'leaving failed'))
  }
  const hear = (why: string) => {
    if (++signals > 1) {
      log.warn({ why }, 'told to leave again: leaving now')
      process.exit(1)
    }
    void leave({ why, withinMs: drainMs })
  }
  process.on('SIGTERM', hear)
  process.on('SIGINT', hear)
  // A parent that started us with a channel wants us gone when it goes, even if it is killed.
  process.on('disconnect', () => hear('parent gone'))
  const die = (why: string) => (err: unknown) => {
    log.fatal({ err }, why)
    void exitTold()
  }
  process.on('unhandledRejection', die('unhandled rejection'))
  process.on('uncaughtException', die('uncaught exception'))
  try {
    role = await start((order) => void leave(order))
    log.info('ready')
    process.send?.({ ready: true })
  } catch (err) {
    log.fatal({ err }, 'could not start')
    await exitTold()
  }
}
