import type { World } from './world.ts'
import type { Random } from './schedule.ts'

/** What a fault did. */
export type Struck = {
  /** For the record: what it hit. */
  what: string
  /** Mends it, where it does not mend itself. */
  lift?(): Promise<void>
}

export type Fault = {
  /** What it breaks: of two faults of one place the second waits until the first is lifted. */
  place: 'process' | 'stop' | 'redis' | 'storage' | 'work'
  /** Shortest and longest stay, in ms. */
  lasts: readonly [number, number]
  /** Answers undefined when there is nothing to strike at the moment. */
  strike(world: World, random: Random): Promise<Struck | undefined>
}

/** For faults that are over as they strike. */
export const atOnce = [0, 0] as const
