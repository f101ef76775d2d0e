import { createClock } from './clock.ts'
import type { Controller, Levers, View } from './controller.ts'
import { createCrew } from './crew.ts'
import { createDraws } from './draws.ts'
import { createLine } from './line.ts'
import { createMachines } from './machines.ts'
import { createOrders } from './orders.ts'
import type { Arrival, Machine, SimJob, World } from './world.ts'

export type Simulation = {
  world: World
  arrivals: Arrival[]
  controller: Controller
  /** How many workers videos are cut for. */
  planWorkers: number
  /** A fleet that does not end by itself is paid for at least until then. */
  horizonSeconds?: number
  /** Frames of each batch of every job, where that is known and not to be planned. */
  plan?: number[]
}

export type Outcome = {
  jobs: SimJob[]
  /** When the last batch was committed. */
  makespanSeconds: number
  /** Of frames alone. */
  workSeconds: number
  seconds: { billed: number; starting: number; busy: number; lost: number }
  machines: number
  preemptions: number
  copies: number
  batches: number
  /** Every five minutes. */
  timeline: { at: number; machines: number; busy: number }[]
}

const timelineSeconds = 300
/** How much the latest start counts in the moving average of what a start takes. */
const newest = 0.2

/**
 * A fleet at work, in simulated time: jobs come and are cut, ordered and copied by the product's own code, and
 * `controller` says how many machines there are. Deterministic: the same input gives the same outcome.
 */
export function simulate(given: Simulation): Outcome {
  const { world, arrivals, controller, planWorkers, plan, horizonSeconds = 0 } = given
  const clock = createClock()
  const line = createLine()
  // Two streams of random numbers: batches have the same luck whatever the machines do.
  const machines = createMachines(world, createDraws(world.seed + 1_000_003))
  const orders = createOrders({ world, clock, line, draws: createDraws(world.seed), planWorkers, plan })
  const crew = createCrew({ world, clock, line, machines, committed: orders.committed })
  const timeline: Outcome['timeline'] = []
  let preemptions = 0
  let startSeconds = world.start.mean

  function start({ ready }: { ready: boolean }): void {
    const { machine, readyAt, noticeAt } = machines.add(clock.now())
    const begin = () => {
      if (machine.state !== 'starting') return
      machines.become(machine, 'idle', clock.now())
      crew.hand()
    }
    if (ready) begin()
    else {
      clock.at(readyAt, () => {
        if (machine.state === 'starting')
          startSeconds += newest * (clock.now() - machine.bornAt - startSeconds)
        begin()
      })
    }
    if (noticeAt === Infinity) return
    clock.at(noticeAt, () => {
      if (machine.state === 'gone' || machine.state === 'leaving') return
      preemptions++
      crew.leave(machine, world.noticeSeconds)
    })
  }

  function remove(machine: Machine): void {
    if (machine.state === 'leaving') return
    if (machine.run) crew.leave(machine, Math.max(world.removeSeconds, world.drainSeconds))
    else {
      machines.become(machine, 'leaving', clock.now())
      clock.at(clock.now() + world.removeSeconds, () => machines.end(machine, clock.now()))
    }
  }

  const look = (): View => ({
    now: clock.now(),
    machines: [...machines.there],
    waiting: line.length(),
    active: crew.active.size,
    ...orders.demand(),
    arrivals: orders.arrivals(),
    startSeconds,
  })

  const named = (names: string[]) => [...machines.there].filter(({ name }) => names.includes(name))
  const levers: Levers = {
    start(more) {
      for (let i = 0; i < more; i++) start({ ready: false })
    },
    hold: (names) => named(names).forEach((machine) => machines.setHeld(machine, true, clock.now())),
    recall(names) {
      named(names).forEach((machine) => machines.setHeld(machine, false, clock.now()))
      crew.hand()
    },
    remove: (names) => named(names).forEach(remove),
  }

  for (let i = 0; i < controller.atFirst; i++) start({ ready: true })
  for (const arrival of arrivals) clock.at(arrival.at, () => orders.arrive(arrival, crew))
  clock.every(controller.everySeconds, () => controller.turn(look(), levers))
  clock.every(timelineSeconds, () =>
    timeline.push({ at: clock.now(), machines: machines.there.size, busy: crew.active.size }),
  )
  clock.runUntil(() => {
    const done = orders.all.length === arrivals.length && orders.open.size === 0
    return done && clock.now() >= horizonSeconds && (!controller.toZero || machines.there.size === 0)
  })
  for (const { run } of machines.there) machines.seconds.busy += run ? clock.now() - run.beganAt : 0
  for (const machine of machines.there) machines.end(machine, clock.now())

  return {
    jobs: orders.all,
    makespanSeconds: Math.max(0, ...orders.all.map(({ endedAt }) => endedAt ?? 0)),
    workSeconds: orders.all.reduce((sum, { workSeconds }) => sum + workSeconds, 0),
    seconds: machines.seconds,
    machines: machines.born(),
    preemptions,
    copies: crew.copies(),
    batches: orders.batches(),
    timeline,
  }
}
