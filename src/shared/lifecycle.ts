import type { Logger } from './log.ts'

/**
 * How every role runs and leaves.
 *
 *   starting ──► running ──SIGTERM, SIGINT──► draining ──done or deadline──► closed, exit 0
 *      │                                         │
 *      └─ failed: exit 1                         └─ second signal: exit at once
 *
 * `start` builds the role and answers how to `drain` it (take nothing new, let work end or give it back) and how to
 * `close` what it opened. Only main.ts files call this.
 */
export type RunningRole = { drain(): Promise<void>; close(): Promise<void> }

export async function runRole(
  log: Logger,
  drainMs: number,
  start: () => Promise<RunningRole>,
): Promise<void> {
  let role: RunningRole | undefined
  let leaving = false
  const leave = async (why: string) => {
    if (leaving) {
      log.warn({ why }, 'told to leave again: leaving now')
      process.exit(1)
    }
    leaving = true
    log.info({ why }, 'leaving: taking nothing new')
    // Drained or not, a role that can't leave by itself is ended: its work is claimed by others when its lease ends.
    const deadline = setTimeout(() => {
      log.warn('leaving took too long: exiting')
      process.exit(1)
    }, drainMs + 10_000)
    try {
      await role?.drain()
      await role?.close()
      log.info('left')
    } catch (err) {
      log.error({ err }, 'leaving failed')
      process.exitCode = 1
    }
    clearTimeout(deadline)
    process.exit()
  }
  process.on('SIGTERM', () => void leave('SIGTERM'))
  process.on('SIGINT', () => void leave('SIGINT'))
  // A parent that started us with a channel wants us gone when it goes, even if it is killed.
  process.on('disconnect', () => void leave('parent gone'))
  process.on('unhandledRejection', (err) => {
    log.fatal({ err }, 'unhandled rejection')
    process.exit(1)
  })
  try {
    role = await start()
    log.info('ready')
    process.send?.({ ready: true })
  } catch (err) {
    log.fatal({ err }, 'could not start')
    process.exit(1)
  }
}
