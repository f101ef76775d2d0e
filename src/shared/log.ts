import { AsyncLocalStorage } from 'node:async_hooks'
import { type Logger, pino } from 'pino'
import { redact } from './redact.ts'

export type { Logger } from 'pino'

/** What every line written during a piece of work carries, without being handed down: job, batch, attempt. */
const context = new AsyncLocalStorage<Record<string, unknown>>()

/** Runs `work` so that each line logged inside it carries `fields`. */
export function withLogContext<T>(fields: Record<string, unknown>, work: () => T): T {
  return context.run({ ...context.getStore(), ...fields }, work)
}

/**
 * The logger of a role: one JSON line for each operation, on standard error, and wherever `shipping` takes it. Every line
 * passes through `redact` as a whole, so that a SAS signature deep in some error's stack can't get out.
 */
export function createLogger(role: string, level: string, shipping?: { take(line: string): void }): Logger {
  const here = pino.destination({ dest: 2, sync: true })
  return pino(
    {
      level,
      base: { role, pid: process.pid },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      // A copy each time: pino adds the line's own fields to it, and they would show in every later line.
      mixin: () => ({ ...context.getStore() }),
      hooks: { streamWrite: redact },
    },
    shipping ? both(here, shipping) : here,
  )
}

const both = (here: { write(line: string): unknown }, shipping: { take(line: string): void }) => ({
  write(line: string): void {
    here.write(line)
    shipping.take(line)
  },
})
