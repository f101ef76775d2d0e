import type { Controller } from './controller.ts'
import { createDraws } from './draws.ts'
import type { Arrival, World } from './world.ts'

/**
 * Azure Monitor's autoscale on the length of a queue, as its documentation sets it up: the metric has one value a minute, the mean
 * of the last minutes is held against two thresholds (entries for each machine that there is), a step is a fixed number of
 * machines, and after each step nothing is done for a while. What is taken away is whatever it finds: it knows of no work.
 */
export function azureMonitor(options: {
  max: number
  /** Least that it leaves: on a metric divided by the machines there must be one. */
  min?: number
  step: number
  /** Entries in line for each machine. */
  outAbove: number
  inBelow: number
  windowMinutes?: number
  cooldownSeconds?: number
}): Controller {
  const { max, min = 1, step, outAbove, inBelow, windowMinutes = 5, cooldownSeconds = 300 } = options
  const metric: number[] = []
  let quietUntil = 0
  return {
    name: 'azure-monitor',
    everySeconds: 60,
    atFirst: min,
    toZero: false,
    turn(view, levers) {
      metric.push(view.waiting)
      if (metric.length > windowMinutes) metric.shift()
      const machines = view.machines.filter(({ state }) => state !== 'leaving')
      // What is evicted below the least comes again at once.
      if (machines.length < min) levers.start(min - machines.length)
      if (view.now < quietUntil || machines.length === 0) return
      const mean = metric.reduce((sum, length) => sum + length, 0) / metric.length / machines.length
      if (mean > outAbove && machines.length < max) {
        levers.start(Math.min(step, max - machines.length))
        quietUntil = view.now + cooldownSeconds
      } else if (mean < inBelow && machines.length > min) {
        const going = machines.toReversed().slice(0, Math.min(step, machines.length - min))
        levers.remove(going.map(({ name }) => name))
        quietUntil = view.now + cooldownSeconds
      }
    },
  }
}

/**
 * One batch for each node, as pipelines of Azure ML and Batch AI have it: a job's frames are divided equally over nodes that are
 * started for it, as many as `backlogSeconds` ask for. A node goes when its share is done (theirs stay on a while); one
 * that is evicted is replaced, and its share begun anew. There is no limit to nodes here, and no other job in the way.
 */
export function oneBatchPerNode(world: World, arrivals: Arrival[], backlogSeconds: number) {
  const draws = createDraws(world.seed + 7_000_003)
  const { start, preemptionsPerHour, setUpSeconds, drainSeconds, noticeSeconds, removeSeconds } = world
  const sum = { billed: 0, starting: 0, lost: 0, machines: 0, preemptions: 0 }
  const ended = arrivals.map((job) => {
    const work = job.frames * job.secondsPerFrame
    const nodes = Math.max(1, Math.ceil(work / backlogSeconds))
    let last = 0
    for (let node = 0; node < nodes; node++) {
      let at = job.at + world.planSeconds(job.frames)
      for (let done = false; !done;) {
        const starting = start.mean * draws.around1(start.cv)
        const seconds = starting + (setUpSeconds + work / nodes) * draws.around1(world.cv)
        const evicted = preemptionsPerHour > 0 ? draws.exponential(3_600 / preemptionsPerHour) : Infinity
        done = evicted + drainSeconds >= seconds
        const billed = done ? seconds + removeSeconds : evicted + noticeSeconds
        sum.billed += billed
        sum.starting += Math.min(starting, billed)
        sum.lost += done ? 0 : Math.max(0, billed - starting)
        sum.preemptions += done ? 0 : 1
        sum.machines++
        at += done ? seconds : billed
      }
      last = Math.max(last, at)
    }
    return last
  })
  return { ended, ...sum }
}
