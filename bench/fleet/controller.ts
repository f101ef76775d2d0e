import type { Machine } from './world.ts'

/** What whoever decides on the fleet's size may know. Times in seconds. */
export type View = {
  now: number
  /** All that are not gone. */
  machines: Machine[]
  /** Entries in line, and batches under way. */
  waiting: number
  active: number
  /** Of jobs that are split: frames that are not committed, as one worker's time, with the set-up of their batches. */
  workSeconds: number
  unplannedJobs: number
  /** Of the last hour; `workSeconds` is the mean of a job, with its set-up. */
  arrivals: { perSecond: number; workSeconds: number }
  /** From asking for a machine until it took work: a moving average. */
  startSeconds: number
}

/** What it may do. */
export type Levers = {
  start: (machines: number) => void
  hold: (names: string[]) => void
  recall: (names: string[]) => void
  /** Takes machines away, whatever they are doing: those at work hear of it as of a preemption. */
  remove: (names: string[]) => void
}

export type Controller = {
  name: string
  /** How often it has its turn. */
  everySeconds: number
  /** Machines that are there, and take work, from the beginning. */
  atFirst: number
  /** That it goes on until no machine is left: what its last ones cost is its own. */
  toZero: boolean
  turn: (view: View, levers: Levers) => void
}

/** So many machines, from the beginning to the end; what is taken away comes again. */
export function fixed(machines: number, name = 'fixed'): Controller {
  return {
    name,
    everySeconds: 5,
    atFirst: machines,
    toZero: false,
    turn(view, levers) {
      const staying = view.machines.filter(({ state }) => state !== 'leaving').length
      if (staying < machines) levers.start(machines - staying)
    },
  }
}
