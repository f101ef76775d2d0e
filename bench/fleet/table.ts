import { bestRivals, isOurs, oursAt } from './compare.ts'
import { dayRows, efficiencyRows, type FleetResults, simulatedFairness } from './results.ts'
import type { DayRow } from './sim-day.ts'
import { grid } from '../table.ts'

/** The results as Markdown, for people. */
export function describeFleet(results: FleetResults): string {
  const { settings, price, plan_1m_frames: plan, real_measure: real } = results
  const parts = [
    '# The fleet',
    `## One job of 72 minutes of work, simulated: ${settings.setUpSeconds} s of set-up a batch, batches vary by 10 %`,
    grid(
      ['workers', 'batches', 'makespan, s', 'efficiency', 'worst pace', 'one 3 times slower', 'worst pace'],
      efficiencyRows(results, 'job').map((row) => {
        const slow = efficiencyRows(results, 'job-one-slow').find(({ workers }) => workers === row.workers)
        return [
          ...[String(row.workers), String(row.batches), row.makespan_s.toFixed(1)],
          ...[fixed(row.efficiency), fixed(row.worst), fixed(slow?.efficiency), fixed(slow?.worst)],
        ]
      }),
    ),
    `## Days of arrivals, simulated: start-up ${settings.startSeconds} s, ${100 * settings.preemptionsPerHour} % of the machines preempted an hour`,
    `Means of ${settings.days} days of about ${settings.jobs} jobs, ${price.size} at ${price.spot} ${price.currency} an hour (spot, ${price.date}). Cost is of the lower bound: the seconds of the frames themselves at the same price. Waits: from a job's arrival to its last batch. A machine that is removed is paid for ${settings.removeSeconds} s more. Up to ${settings.max} machines.`,
    days(briefly(dayRows(results), settings.defaultBacklogSeconds)),
    'Of each kind of rival: the cheapest with which 95 % of the waits are no longer than ours, and the cheapest of all. Each setting that was tried:',
    days(dayRows(results).filter((row) => !isOurs(row))),
    `### With a quarter of the jobs: ${settings.daysOfOtherLoads} days`,
    days(briefly(dayRows(results, 'day, a quarter of the jobs'), settings.defaultBacklogSeconds)),
    `### With four times the jobs, and four times the machines at most: ${settings.daysOfOtherLoads} days`,
    days(briefly(dayRows(results, 'day, four times the jobs'), settings.defaultBacklogSeconds)),
    '## A clip of ten seconds behind a film of ten hours, simulated',
    grid(
      [
        'workers',
        's a frame',
        'set-up, s',
        'alone on half, s',
        'behind the film, s',
        'ratio',
        'from being in line',
      ],
      results.fairness_sim.map((row) => [
        ...[String(row.workers), String(row.seconds_per_frame), String(row.set_up_s)],
        ...[row.alone_s.toFixed(1), row.behind_s.toFixed(1), row.ratio.toFixed(2)],
        row.ratio_in_line.toFixed(2),
      ]),
    ),
    `${simulatedFairness(results.fairness_sim).toFixed(2)} in the mean of these, with the two seconds that planning takes.`,
    ...(real
      ? [
          `## Real workers whose model waits, on ${real.machine.cores} cores of ${real.machine.cpu}`,
          grid(
            ['workers', 'batches', 's a frame', 'set-up, s', 'makespan, s', 'efficiency', 'processor busy'],
            real.runs.map((run) => [
              run.slow ? `${run.workers}, one ${run.slow} times slower` : String(run.workers),
              ...[String(run.batches), String(run.secondsPerFrame), run.setUpSeconds.toFixed(2)],
              ...[run.makespan_s.toFixed(1), fixed(run.efficiency), fixed(run.processor_busy)],
            ]),
          ),
          ...(real.fairness_ratio === null
            ? []
            : [
                `A short clip behind a long film takes ${real.fairness_ratio} times as long as alone on half of the workers.`,
              ]),
        ]
      : []),
    ...(plan
      ? [
          '## Planning a million frames',
          grid(
            ['', ''],
            Object.entries(plan)
              .filter(([, value]) => typeof value === 'number')
              .map(([name, value]) => [name, String(value)]),
          ),
        ]
      : []),
  ]
  return `${parts.join('\n\n')}\n`
}

const fixed = (value: number | undefined) => (value === undefined ? '' : value.toFixed(3))

/** Ours, and the best of each kind beside them. */
function briefly(rows: DayRow[], backlogSeconds: number): DayRow[] {
  const ours = oursAt(rows, backlogSeconds)
  const best = ours ? bestRivals(rows, ours).flatMap(({ inTime, first }) => [inTime ?? first, first]) : []
  return [...rows.filter(isOurs), ...new Set(best)]
}

const days = (rows: DayRow[]) =>
  grid(
    [
      ...['policy', 'cost', 'set-up', 'starting', 'idle', 'lost', 'a day'],
      ...['median wait, s', '95 % of waits, s', '95 %, short jobs, s', 'most machines'],
    ],
    rows.map((row) => [
      row.policy,
      ...[row.cost_ratio, row.set_up, row.starting, row.idle, row.lost].map(fixed),
      row.dollars.toFixed(2),
      ...[row.wait_p50_s, row.wait_p95_s, row.short_p95_s].map(String),
      row.workers > 0 ? String(row.workers) : '',
    ]),
  )
