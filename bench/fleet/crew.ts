import { slowBatches } from '../../src/producer/speculation.ts'
import type { Clock } from './clock.ts'
import type { Line } from './line.ts'
import type { Machines } from './machines.ts'
import type { Machine, Run, SimBatch, World } from './world.ts'

export type Crew = ReturnType<typeof createCrew>

const speculateEverySeconds = 2
/** Until a worker learns that somebody else was faster: with its next report of progress. */
const learnSeconds = 1
/** For the worker whose batch is copied, before it asks for the copy again. */
const notMineSeconds = 1

/**
 * What workers do: each idle one takes what is first in line; who has to leave finishes what fits and gives the rest back;
 * when nothing waits, what is slow is copied to who is idle, by the product's own rule, and the first commit wins.
 */
export function createCrew(deps: {
  world: World
  clock: Clock
  line: Line
  machines: Machines
  committed: (batch: SimBatch) => void
}) {
  const { world, clock, line, machines, committed } = deps
  const active = new Set<Run>()
  let copies = 0
  let watching = false

  /** Gives what is in line to whoever may take it. */
  function hand(): void {
    while (line.length() > 0 && machines.idle.size > 0) {
      const entry = line.take()
      if (!entry || entry.batch.committed) continue
      const { batch, copyOf } = entry
      const machine = [...machines.idle].find((each) => each !== copyOf)
      if (machine) claim(machine, batch, copyOf !== null)
      else if (copyOf) {
        clock.at(clock.now() + notMineSeconds, () => {
          line.addCopy(batch, copyOf)
          hand()
        })
      }
    }
    if (!watching && line.length() === 0 && active.size > 0) {
      watching = true
      clock.at(clock.now() + speculateEverySeconds, speculate)
    }
  }

  function claim(machine: Machine, batch: SimBatch, copy: boolean): void {
    const now = clock.now()
    const run: Run = { batch, machine, beganAt: now, copy, over: false }
    machines.become(machine, 'busy', now)
    machine.run = run
    batch.runs.push(run)
    active.add(run)
    clock.at(now + secondsOf(run), () => {
      if (!run.over) commit(run)
    })
  }

  function commit(run: Run): void {
    const { batch } = run
    // Somebody else was faster, and this one has not learnt it yet.
    if (batch.committed) return stop(run, { lost: true })
    batch.committed = true
    stop(run, { lost: false })
    for (const late of batch.runs) {
      clock.at(clock.now() + learnSeconds, () => {
        if (!late.over) stop(late, { lost: true })
      })
    }
    committed(batch)
    hand()
  }

  /** Ends a run, however it went, and frees its machine. */
  function stop(run: Run, { lost }: { lost: boolean }): void {
    const { machine } = run
    const now = clock.now()
    run.over = true
    active.delete(run)
    machine.run = null
    machines.seconds.busy += now - run.beganAt
    if (lost) machines.seconds.lost += now - run.beganAt
    if (machine.state === 'busy') machines.become(machine, 'idle', now)
    if (lost) hand()
  }

  const secondsOf = ({ batch, machine }: Run) => batch.expectedSeconds * batch.luck * machine.slow

  /** Of its frames, as it said last: once a second. */
  function fractionDone(run: Run): number {
    const setUp = world.setUpSeconds * run.batch.luck * run.machine.slow
    const said = Math.floor(clock.now() - run.beganAt)
    return Math.min(1, Math.max(0, (said - setUp) / (secondsOf(run) - setUp)))
  }

  function speculate(): void {
    watching = false
    const originals = [...active].filter(({ copy, batch }) => !copy && !batch.committed)
    const slow = slowBatches({
      now: clock.now() * 1_000,
      waiting: line.length(),
      idleWorkers: machines.idle.size,
      active: originals.map((run) => ({
        entry: run.batch.id,
        worker: run.machine.name,
        startedAt: run.beganAt * 1_000,
        expectedSeconds: run.batch.expectedSeconds,
        setUpSeconds: world.setUpSeconds,
        fractionDone: fractionDone(run),
        copied: run.batch.copied,
      })),
    })
    for (const { batch, machine } of originals.filter(({ batch }) => slow.includes(batch.id))) {
      batch.copied = true
      copies++
      line.addCopy(batch, machine)
    }
    hand()
  }

  return {
    active,
    copies: () => copies,
    hand,
    /** The word that a machine is taken away: it has until `world.drainSeconds` from now for its batch, and is paid for that long. */
    leave(machine: Machine, paidSeconds: number): void {
      const { run } = machine
      machines.become(machine, 'leaving', clock.now())
      if (run) {
        clock.at(clock.now() + world.drainSeconds, () => {
          if (run.over) return
          if (!run.copy && !run.batch.committed) line.giveBack(run.batch)
          stop(run, { lost: true })
        })
      }
      clock.at(clock.now() + paidSeconds, () => machines.end(machine, clock.now()))
    },
  }
}
