import { setImmediate as others } from 'node:timers/promises'

const longestHold = 20

/** Others have their turn every 20 ms of a long piece of work that waits for nothing: requests are answered, and locks kept. */
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
