/** Machines, or processes, that workers run on: what any kind of fleet can do for the autoscaler. */
export type Fleet = {
  kind: 'local' | 'vmss'
  look(signal: AbortSignal): Promise<FleetLook>
  /** Asks for so many instances in all, and does not wait for them. Never lowers; throws `FleetRefusal`. */
  grow(to: number, signal: AbortSignal): Promise<void>
  /** Removes exactly these. Those that are gone already are no error. */
  remove(names: string[], signal: AbortSignal): Promise<void>
  close(): Promise<void>
}

export type FleetLook = {
  /** How many instances the fleet is to have, as it says itself. */
  capacity: number
  instances: FleetInstance[]
}

export type FleetInstance = {
  /** What its workers say of where they run: `WorkerRecord.instance`. */
  name: string
  state: 'starting' | 'running' | 'leaving' | 'failed'
  /** In ms of the clock. */
  since: number
}

/** The fleet can't grow now: a quota, no room on spot, too many requests. Growth waits for so long. */
export class FleetRefusal extends Error {
  override name = 'FleetRefusal'
  readonly retryAfterMs: number
  constructor(message: string, options: ErrorOptions & { retryAfterMs: number }) {
    super(message, options)
    this.retryAfterMs = options.retryAfterMs
  }
}
