import { setImmediate as others } from 'node:timers/promises'

const longestHold = 20

/** Others have their turn every 20 ms: this process answers requests while it plans a table of millions of rows. */
export function createBreather() {
  let since = performance.now()
  return {
    isDue: () => performance.now() - since > longestHold,
    async take(): Promise<void> {
      await others()
      since = performance.now()
    },
  }
}
