import { oursAt, unbeaten } from './compare.ts'
import { dayRows, efficiencyRows, type FleetResults, simulatedFairness } from './results.ts'

/** What the simulated fleet has to reach: least efficiency, by scenario and workers. */
export const wantedEfficiency = [
  { scenario: 'job', workers: 16, least: 0.9 },
  { scenario: 'job', workers: 64, least: 0.75 },
  { scenario: 'job-one-slow', workers: 16, least: 0.8 },
  { scenario: 'job-one-slow', workers: 64, least: 0.6 },
]
/** Of the lower bound. */
export const mostCost = 1.15
/** Of the clip's time alone on a fair share, planning included. */
const mostFairness = 1.5
/** Beside the planning of a million frames, in milliseconds. */
const mostOfPlanning = [
  { key: 'post_p50_ms', most: 100, what: 'half of the requests for a job' },
  { key: 'post_p99_ms', most: 100, what: '99 % of the requests for a job' },
  { key: 'worst_redis_command_ms', most: 50, what: 'every command of Redis' },
] as const

/** What is not as it should be, in words. */
export function troublesOf(results: FleetResults): string[] {
  const slow = wantedEfficiency.flatMap(({ scenario, workers, least }) =>
    efficiencyRows(results, scenario)
      .filter((row) => row.workers === workers && row.efficiency < least)
      .map(({ efficiency }) => `${scenario}, ${workers} workers: efficiency ${efficiency}, wanted ${least}`),
  )
  const rows = dayRows(results)
  const cost = oursAt(rows, results.settings.defaultBacklogSeconds)?.cost_ratio ?? Infinity
  const dear = cost > mostCost ? [`the day costs ${cost} of the lower bound, wanted ${mostCost}`] : []
  const better = unbeaten(rows).map(
    ({ policy, cost_ratio, wait_p95_s }) =>
      `${policy} costs ${cost_ratio} with 95 % done within ${wait_p95_s} s: no backlog of framefleet is cheaper and no later`,
  )
  const unfair = [
    { where: 'real', ratio: results.fairness_ratio ?? 0 },
    { where: 'simulated', ratio: simulatedFairness(results.fairness_sim) },
  ]
    .filter(({ ratio }) => ratio > mostFairness)
    .map(
      ({ where, ratio }) =>
        `a clip behind a film takes ${ratio} times as long, ${where}, wanted ${mostFairness}`,
    )
  const plan = results.plan_1m_frames
  const late = mostOfPlanning.flatMap(({ key, most, what }) =>
    plan && plan[key] > most ? [`${what}: within ${plan[key]} ms, wanted ${most}`] : [],
  )
  return [...slow, ...dear, ...better, ...unfair, ...late]
}
