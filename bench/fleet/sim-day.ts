import { autoscalerSettings } from '../../src/autoscaler/config.ts'
import { producerSettings } from '../../src/producer/config.ts'
import { autoscaled } from './autoscaled.ts'
import { type Controller, fixed } from './controller.ts'
import { chosenPrice } from './prices.ts'
import { azureMonitor, oneBatchPerNode } from './rivals.ts'
import { mean, quantile, rounded, type SimRow } from './sim-row.ts'
import { type Outcome, simulate } from './simulate.ts'
import { dayOfArrivals } from './trace.ts'
import { type Arrival, calm, type World } from './world.ts'

export type DayRow = SimRow & {
  dollars: number
  /** From a job's arrival to its last batch: of all jobs, and of those with a minute of work or less. */
  wait_p50_s: number
  wait_p95_s: number
  short_p95_s: number
  machines: number
  preemptions: number
  /** Of what is paid for, beside the work: parts of `cost_ratio` − 1. */
  set_up: number
  starting: number
  idle: number
  lost: number
}

export const daySettings = {
  jobs: 1_500,
  secondsPerFrame: 0.04,
  days: 10,
  daysOfOtherLoads: 3,
  max: 128,
  /** As the product has them unless somebody sets them. */
  planWorkers: producerSettings.FRAMEFLEET_PLAN_WORKERS.parse(undefined),
  defaultBacklogSeconds: autoscalerSettings.FRAMEFLEET_BACKLOG_SECONDS.parse(undefined),
  otherBacklogSeconds: [300, 450, 600, 900, 1_200, 1_500, 2_000, 3_000, 3_600],
  /** Entries in line for each machine: a step out above, a step in below. */
  azureMonitor: { steps: [2, 5, 10], outAbove: [5, 20, 40, 80], inBelow: [2, 8, 20, 40] },
  perNodeSeconds: [600, 1_200, 2_400, 3_600, 7_200],
  /** Times the mean that the work of a day needs. */
  fixedSizes: [1, 1.25, 1.5, 2],
  startSeconds: 150,
  preemptionsPerHour: 0.05,
  removeSeconds: calm.removeSeconds,
  setUpSeconds: 3,
}
const { defaultBacklogSeconds } = daySettings
const backlogs = [defaultBacklogSeconds, ...daySettings.otherBacklogSeconds].sort((a, b) => a - b)
const day = 86_400
const shortSeconds = 60

type Day = { world: World; arrivals: Arrival[]; workSeconds: number }
type Ran = Pick<Outcome, 'seconds' | 'machines' | 'preemptions'> & {
  waits: { seconds: number; work: number }[]
  makespanSeconds: number
  peak: number
}

/** `load`: times the usual number of jobs. */
function daysOf(load = 1): Day[] {
  const { jobs, secondsPerFrame, preemptionsPerHour, setUpSeconds, startSeconds } = daySettings
  const days = load === 1 ? daySettings.days : daySettings.daysOfOtherLoads
  return Array.from({ length: days }, (_, i) => {
    const arrivals = dayOfArrivals({ seed: i + 1, jobs: jobs * load, secondsPerFrame })
    const world: World = {
      ...calm,
      ...{ seed: i + 1, setUpSeconds, preemptionsPerHour },
      start: { mean: startSeconds, cv: 0.2 },
      // The source comes to the producer and is indexed: a film of ten hours takes 21 s.
      planSeconds: (frames) => 3 + frames / 50_000,
    }
    const workSeconds = arrivals.reduce((sum, job) => sum + job.frames * job.secondsPerFrame, 0)
    return { world, arrivals, workSeconds }
  })
}

/** All days under one policy, as one row. */
function runDays(
  days: Day[],
  scenario: string,
  policy: string,
  controllerOf: (day: Day) => Controller,
): { row: DayRow; first: Outcome } {
  const outcomes = days.map(({ world, arrivals, ...rest }) =>
    simulate({
      ...{ world, arrivals, horizonSeconds: day, planWorkers: daySettings.planWorkers },
      controller: controllerOf({ world, arrivals, ...rest }),
    }),
  )
  const ran = outcomes.map((outcome): Ran => ({
    ...outcome,
    waits: outcome.jobs.map((job) => ({
      seconds: (job.endedAt ?? Infinity) - job.at,
      work: job.workSeconds,
    })),
    peak: Math.max(...outcome.timeline.map(({ machines }) => machines)),
  }))
  return { row: summarize(days, ran, scenario, policy), first: outcomes[0] as Outcome }
}

/** The product beside its rivals on the same days, jobs, batches and machines. The first rows are the product's. */
export function simulateDay(scenario = 'day', load = 1): { rows: DayRow[]; first: Outcome } {
  const days = daysOf(load)
  const { max } = daySettings
  const most = max * Math.max(1, load)
  const run = (policy: string, controllerOf: (day: Day) => Controller) =>
    runDays(days, scenario, policy, controllerOf)
  const ours = backlogs.map((backlog) => ({
    backlog,
    ...run(`framefleet ${backlog}`, () => autoscaled({ backlogSeconds: backlog, max: most })),
  }))
  const chosen = ours.find(({ backlog }) => backlog === defaultBacklogSeconds) ?? ours[0]
  const meanOf = ({ workSeconds }: Day) => Math.ceil(workSeconds / day)
  const rivals = [
    ...daySettings.fixedSizes.map((times) =>
      run(`fixed, ${times} × the mean`, (each) => fixed(Math.ceil(times * meanOf(each)))),
    ),
    run('fixed, for the busiest hour', (each) => fixed(busiestHour(each))),
    ...azureRules().map(({ step, outAbove, inBelow }) =>
      run(`Azure Monitor, ±${step} above ${outAbove}, below ${inBelow}`, () =>
        azureMonitor({ max: most, step, outAbove, inBelow }),
      ),
    ),
    run(`kept warm: framefleet, min = mean`, (each) =>
      autoscaled({ backlogSeconds: defaultBacklogSeconds, max: most, min: meanOf(each) }),
    ),
  ].map(({ row }) => row)
  const perNode = daySettings.perNodeSeconds.map((backlog) => onePerNode(days, scenario, backlog))
  return { rows: [...ours.map(({ row }) => row), ...rivals, ...perNode], first: chosen?.first as Outcome }
}

/** Every pair of thresholds that leaves room between them. */
function azureRules() {
  const { steps, outAbove, inBelow } = daySettings.azureMonitor
  return steps.flatMap((step) =>
    outAbove.flatMap((out) =>
      inBelow.filter((within) => within < out).map((within) => ({ step, outAbove: out, inBelow: within })),
    ),
  )
}

function onePerNode(days: Day[], scenario: string, backlog: number): DayRow {
  const ran = days.map(({ world, arrivals }): Ran => {
    const { ended, billed, starting, machines, preemptions, lost } = oneBatchPerNode(world, arrivals, backlog)
    return {
      waits: arrivals.map((job, i) => ({
        seconds: (ended[i] ?? Infinity) - job.at,
        work: job.frames * job.secondsPerFrame,
      })),
      seconds: { billed, starting, lost, busy: billed - starting },
      ...{ machines, preemptions, makespanSeconds: Math.max(...ended), peak: 0 },
    }
  })
  return summarize(days, ran, scenario, `one batch per node, ${backlog} s`)
}

function summarize(days: Day[], ran: Ran[], scenario: string, policy: string): DayRow {
  const total = (read: (each: Ran) => number) => ran.reduce((sum, each) => sum + read(each), 0)
  const work = days.reduce((sum, { workSeconds }) => sum + workSeconds, 0)
  const waits = ran.flatMap((each) => each.waits)
  const short = waits.filter((wait) => wait.work <= shortSeconds)
  const [billed, busy, starting, lost] = (['billed', 'busy', 'starting', 'lost'] as const).map(
    (part) => total(({ seconds }) => seconds[part]) / work,
  ) as [number, number, number, number]
  return {
    ...{ scenario, policy, workers: Math.max(...ran.map(({ peak }) => peak)) },
    efficiency: rounded(1 / billed),
    makespan_s: Math.round(mean(ran.map(({ makespanSeconds }) => makespanSeconds))),
    cost_ratio: rounded(billed),
    dollars: rounded((billed * work * chosenPrice().spot) / 3_600 / days.length, 2),
    wait_p50_s: Math.round(
      quantile(
        waits.map(({ seconds }) => seconds),
        0.5,
      ),
    ),
    wait_p95_s: Math.round(
      quantile(
        waits.map(({ seconds }) => seconds),
        0.95,
      ),
    ),
    short_p95_s: Math.round(
      quantile(
        short.map(({ seconds }) => seconds),
        0.95,
      ),
    ),
    machines: Math.round(total((each) => each.machines) / days.length),
    preemptions: Math.round(total((each) => each.preemptions) / days.length),
    set_up: rounded(busy - 1 - lost),
    starting: rounded(starting),
    idle: rounded(billed - busy - starting),
    lost: rounded(lost),
  }
}

/** Machines that the work that came in the busiest hour would keep busy for an hour. */
function busiestHour({ arrivals }: Day): number {
  const hours = Array.from({ length: 24 }, () => 0)
  for (const { at, frames, secondsPerFrame } of arrivals) {
    const hour = Math.min(23, Math.floor(at / 3_600))
    hours[hour] = (hours[hour] ?? 0) + frames * secondsPerFrame
  }
  return Math.ceil(Math.max(...hours) / 3_600)
}

/** A day of an outcome, for a plot. */
export const dayHours = ({ timeline }: Outcome) =>
  timeline.map(({ at, machines, busy }) => ({ hour: rounded(at / 3_600, 2), machines, busy }))
