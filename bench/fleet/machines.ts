import type { Draws } from './draws.ts'
import type { Machine, World } from './world.ts'

export type Machines = ReturnType<typeof createMachines>

const hour = 3_600

/**
 * The machines that are paid for, from when they are asked for until they are gone, and what their time went into:
 * `starting` and `busy` are parts of `billed`, the rest of it they had nothing to do; `lost` is the part of `busy` of
 * which nothing came.
 */
export function createMachines(world: World, draws: Draws) {
  const there = new Set<Machine>()
  /** Those that may take work, the longest idle first: as Redis serves whoever has waited longest. */
  const idle = new Set<Machine>()
  const seconds = { billed: 0, starting: 0, busy: 0, lost: 0 }
  let born = 0

  function become(machine: Machine, state: Machine['state'], now: number): void {
    if (machine.state === 'starting') seconds.starting += now - machine.since
    machine.state = state
    machine.since = now
    idle.delete(machine)
    if (state === 'idle' && !machine.held) idle.add(machine)
  }

  function setHeld(machine: Machine, held: boolean, now: number): void {
    machine.held = held
    if (machine.state === 'idle') become(machine, 'idle', now)
  }

  return {
    there,
    idle,
    seconds,
    born: () => born,
    become,
    setHeld,
    /** A new machine, when it will take work, and when it will be told to go (`Infinity`: never). */
    add(now: number): { machine: Machine; readyAt: number; noticeAt: number } {
      const machine: Machine = {
        name: `m${born}`,
        bornAt: now,
        state: 'starting',
        held: false,
        since: now,
        slow: born < world.slow.machines ? world.slow.factor : 1,
        run: null,
      }
      born++
      there.add(machine)
      const { start, preemptionsPerHour: often } = world
      return {
        machine,
        readyAt: now + start.mean * draws.around1(start.cv),
        noticeAt: often > 0 ? now + draws.exponential(hour / often) : Infinity,
      }
    },
    /** It is paid for until now. */
    end(machine: Machine, now: number): void {
      if (machine.state === 'gone') return
      become(machine, 'gone', now)
      seconds.billed += now - machine.bornAt
      there.delete(machine)
    },
  }
}
