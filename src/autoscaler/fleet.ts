/** A machine, or a process, of the fleet, as whoever runs it knows it. `since`: ms of the clock, when that state began. */
export type FleetInstance = {
  name: string
  state: 'starting' | 'running' | 'leaving' | 'failed'
  since: number
}

/**
 * What instances are asked of. The name of an instance is what its workers say they run on.
 *
 *   asked for ──► starting ──► running ──► leaving ──► gone        (leaving: removed by us, or taken away)
 *                     └───────────┴──► failed ──► removed by us
 */
export type Fleet = {
  kind: 'local' | 'vmss'
  /**
   * `capacity`: how many there are to be, also those that no instance is listed for yet; `guessed`: there may be more of
   * them. `spot`: an instance may be taken away at any moment.
   */
  look(signal: AbortSignal): Promise<{
    capacity: number
    guessed?: boolean
    spot?: boolean
    instances: FleetInstance[]
  }>
  /**
   * Asks for a capacity of so many and does not wait for them; never lowers it. Answers whether it asked: not where as many
   * are on their way already. Throws FleetRefusal.
   */
  grow(to: number, signal: AbortSignal): Promise<boolean>
  /**
   * Removes exactly these. Answers which of them were asked to go now: not those that are gone, or going already, and none
   * while the fleet may not be asked.
   */
  remove(names: string[], signal: AbortSignal): Promise<string[]>
  close(): Promise<void>
}

/** No more instances for now: a quota, no spot capacity, too many requests. Growth waits. */
export class FleetRefusal extends Error {
  override name = 'FleetRefusal'
  readonly retryAfterMs: number
  constructor(message: string, options: ErrorOptions & { retryAfterMs: number }) {
    super(message, options)
    this.retryAfterMs = options.retryAfterMs
  }
}
