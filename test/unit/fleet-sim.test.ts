import { expect, test } from 'vitest'
import { autoscaled } from '../../bench/fleet/autoscaled.ts'
import { type Controller, fixed, type Levers, type View } from '../../bench/fleet/controller.ts'
import { createDraws } from '../../bench/fleet/draws.ts'
import { createHeap } from '../../bench/fleet/heap.ts'
import { azureMonitor } from '../../bench/fleet/rivals.ts'
import { simulateEfficiency } from '../../bench/fleet/sim-efficiency.ts'
import { simulate } from '../../bench/fleet/simulate.ts'
import { dayOfArrivals } from '../../bench/fleet/trace.ts'
import { wantedEfficiency } from '../../bench/fleet/wanted.ts'
import { type Arrival, calm } from '../../bench/fleet/world.ts'
import { seeded, seeds } from '../../scripts/chaos/seeded.ts'

const exact = { ...calm, cv: 0, setUpSeconds: 2, start: { mean: 100, cv: 0 } }
const job = (frames: number, at = 0): Arrival => ({
  ...{ at, client: 'one', frames, secondsPerFrame: 1, priority: 5 },
})
const sum = (values: number[]) => values.reduce((total, value) => total + value, 0)

test('two workers take three batches in order, and the one that is free first takes the third', () => {
  // One: 2 + 10, then 2 + 4. The other: 2 + 20.
  const plan = [10, 20, 4]
  const outcome = simulate({ world: exact, arrivals: [job(34)], controller: fixed(2), planWorkers: 2, plan })
  expect(outcome).toMatchObject({
    makespanSeconds: 22,
    workSeconds: 34,
    batches: 3,
    seconds: { billed: 44, busy: 12 + 6 + 22, starting: 0, lost: 0 },
  })
})

test('a slow worker’s last batch is copied, and what it had done of it is lost', () => {
  // Three times slower: 36 s. After two seconds of idleness nothing of it says so yet; two seconds later it does.
  const world = { ...exact, slow: { machines: 1, factor: 3 } }
  const plan = [10, 10]
  const { makespanSeconds, copies, seconds } = simulate({
    ...{ world, arrivals: [job(20)], controller: fixed(2), planWorkers: 2, plan },
  })
  expect(copies).toBe(1)
  expect(makespanSeconds).toBeLessThan(30)
  // The slow one had it from the beginning, and the fleet is given up as the copy is committed.
  expect(seconds.busy).toBeCloseTo(12 + 12 + makespanSeconds)
})

test('a machine that is removed at work gives back what does not fit in the notice, and is replaced', () => {
  const removedAt = 30
  const controller: Controller = {
    ...fixed(1),
    turn(view, levers) {
      if (view.now === removedAt) levers.remove(['m0'])
      fixed(1).turn(view, levers)
    },
  }
  const plan = [100]
  const { makespanSeconds, seconds, machines } = simulate({
    ...{ world: exact, arrivals: [job(100)], controller, planWorkers: 1, plan },
  })
  // Given back after 25 s, paid for until it is gone; the next one, asked for at the next turn, takes 100 s to start, and 102 s for the batch.
  expect(machines).toBe(2)
  expect(makespanSeconds).toBe(removedAt + 100 + 102)
  expect(seconds).toEqual({
    billed: removedAt + exact.removeSeconds + 202,
    starting: 100,
    busy: 55 + 102,
    lost: 55,
  })
})

test('a batch that fits in the notice is finished', () => {
  const controller: Controller = {
    ...fixed(1),
    turn: (view, levers) => view.now === 10 && levers.remove(['m0']),
  }
  const plan = [30]
  const outcome = simulate({ world: exact, arrivals: [job(30)], controller, planWorkers: 1, plan })
  expect(outcome).toMatchObject({ makespanSeconds: 32, seconds: { lost: 0 } })
})

test('from nothing the fleet grows by the product’s own policy, and is paid for from the asking to the end', () => {
  const outcome = simulate({
    world: exact,
    arrivals: [job(1_000, 1)],
    controller: autoscaled({ backlogSeconds: 500, max: 10 }),
    planWorkers: 2,
  })
  // Set-ups make it a little more than two machines can do in 500 s.
  expect(outcome.machines).toBe(3)
  expect(outcome.seconds.starting).toBe(300)
  expect(outcome.timeline.at(-1)?.machines).toBeGreaterThan(0)
  expect(outcome.seconds.billed).toBeGreaterThan(300 + 1_000 + 3 * exact.removeSeconds)
  expect(outcome.seconds.billed).toBeLessThan(300 + 1_200 + 3 * exact.removeSeconds)
})

test.each(seeds(6))(
  'whatever happens, all work is done once and everything is paid for (seed %i)',
  (seed) => {
    const { int, pick } = seeded(seed)
    const arrivals = Array.from({ length: int(1, 40) }, () => ({
      ...job(int(1, 4_000), int(0, 3_000)),
      client: pick(['a', 'b', 'c']),
      secondsPerFrame: pick([0.02, 0.3]),
    })).toSorted((a, b) => a.at - b.at)
    const world = {
      ...{ ...calm, seed, preemptionsPerHour: pick([0, 1, 20]) },
      slow: { machines: int(0, 2), factor: 3 },
    }
    const controller = pick([
      fixed(int(1, 5)),
      autoscaled({ backlogSeconds: pick([30, 300]), max: int(1, 9) }),
      azureMonitor({ max: 6, step: 2, outAbove: 5, inBelow: 2 }),
    ])
    let most = 0
    const watched: Controller = {
      ...controller,
      turn(view: View, levers: Levers) {
        most = Math.max(most, view.machines.filter(({ state }) => state !== 'leaving').length)
        controller.turn(view, levers)
      },
    }
    const { jobs, seconds, workSeconds, batches } = simulate({
      ...{ world, arrivals, controller: watched, planWorkers: 4 },
    })
    expect(jobs.map(({ framesLeft, batchesLeft }) => ({ framesLeft, batchesLeft }))).toEqual(
      arrivals.map(() => ({ framesLeft: 0, batchesLeft: 0 })),
    )
    expect(jobs.every(({ at, endedAt }) => endedAt !== null && endedAt > at)).toBe(true)
    expect(workSeconds).toBeCloseTo(sum(arrivals.map((each) => each.frames * each.secondsPerFrame)))
    // The luck of batches has the mean 1: what is done of use is at least most of the work and its set-ups.
    expect(seconds.busy - seconds.lost).toBeGreaterThan(0.6 * (workSeconds + batches * world.setUpSeconds))
    expect(seconds.billed + 1e-6).toBeGreaterThanOrEqual(seconds.busy + seconds.starting)
    expect(most).toBeLessThanOrEqual(9)
  },
)

test('the same seed gives the same outcome, and another seed another', () => {
  const arrivals = dayOfArrivals({ seed: 3, jobs: 100, secondsPerFrame: 0.04 })
  const run = (seed: number) =>
    simulate({
      world: { ...calm, seed, preemptionsPerHour: 0.5 },
      arrivals,
      controller: autoscaled({ backlogSeconds: 600, max: 40 }),
      planWorkers: 4,
    })
  expect(run(1)).toEqual(run(1))
  expect(run(2).makespanSeconds).not.toBe(run(1).makespanSeconds)
})

test('a day has about as many jobs as were asked for, from clips of ten seconds to films of ten hours', () => {
  const arrivals = dayOfArrivals({ seed: 1, jobs: 1_500, secondsPerFrame: 0.04 })
  expect(arrivals.length).toBeGreaterThan(1_300)
  expect(arrivals.length).toBeLessThan(1_700)
  const seconds = arrivals.map(({ frames }) => frames / 25)
  expect(Math.min(...seconds)).toBeGreaterThanOrEqual(10)
  expect(Math.max(...seconds)).toBeGreaterThan(4 * 3_600)
  expect(Math.max(...seconds)).toBeLessThanOrEqual(36_000)
  expect(arrivals).toEqual(arrivals.toSorted((a, b) => a.at - b.at))
  const night = arrivals.filter(({ at }) => at < 5 * 3_600)
  const afternoon = arrivals.filter(({ at }) => at >= 13 * 3_600 && at < 18 * 3_600)
  expect(afternoon.length).toBeGreaterThan(4 * night.length)
})

test.each(seeds(5))('what is drawn has the mean and the bounds that it is said to have (seed %i)', (seed) => {
  const draws = createDraws(seed)
  const many = <T>(draw: () => T) => Array.from({ length: 20_000 }, draw)
  const mean = (values: number[]) => sum(values) / values.length
  const around = many(() => draws.around1(0.1))
  expect(mean(around)).toBeCloseTo(1, 2)
  expect(Math.sqrt(mean(around.map((value) => (value - 1) ** 2)))).toBeCloseTo(0.1, 2)
  expect(mean(many(() => draws.exponential(1)))).toBeCloseTo(1, 1)
  const heavy = many(() => draws.pareto(10, 1_000, 0.5))
  expect(Math.min(...heavy)).toBeGreaterThanOrEqual(10)
  expect(Math.max(...heavy)).toBeLessThanOrEqual(1_000)
  // Of the bounded distribution: √10 · √1000 = 100.
  expect(mean(heavy) / 100).toBeCloseTo(1, 1)
})

test.each(seeds(20))('what comes out of the heap is in order (seed %i)', (seed) => {
  const { int } = seeded(seed)
  const heap = createHeap<number>((a, b) => a < b)
  const numbers = Array.from({ length: int(0, 200) }, () => int(0, 50))
  const out: number[] = []
  for (const [i, number] of numbers.entries()) {
    heap.push(number)
    if (i % 3 === 0) out.push(heap.pop() as number)
  }
  const rest: number[] = []
  while (heap.size() > 0) rest.push(heap.pop() as number)
  expect(rest).toEqual(rest.toSorted((a, b) => a - b))
  expect([...out, ...rest].toSorted((a, b) => a - b)).toEqual(numbers.toSorted((a, b) => a - b))
})

test.each(wantedEfficiency)(
  '72 minutes of work on $workers workers ($scenario): at least $least of their time is work',
  ({ scenario, workers, least }) => {
    const slow = scenario === 'job-one-slow' ? 1 : 0
    expect(simulateEfficiency(workers, slow).efficiency).toBeGreaterThanOrEqual(least)
  },
)
