import { dayRows, efficiencyRows, type FleetResults } from './results.ts'

/** What the simulated fleet has to reach: least efficiency, by scenario and workers. */
export const wantedEfficiency = [
  { scenario: 'job', workers: 16, least: 0.9 },
  { scenario: 'job', workers: 64, least: 0.75 },
  { scenario: 'job-one-slow', workers: 16, least: 0.8 },
  { scenario: 'job-one-slow', workers: 64, least: 0.6 },
]
/** Of the lower bound. */
export const mostCost = 1.15
/** Of the clip's time alone on a fair share. */
const mostFairness = 1.5

const oursOf = (results: FleetResults) =>
  dayRows(results).find(({ policy }) => policy === `framefleet ${results.settings.defaultBacklogSeconds}`)

/** What is not as it should be, in words. */
export function troublesOf(results: FleetResults): string[] {
  const slow = wantedEfficiency.flatMap(({ scenario, workers, least }) =>
    efficiencyRows(results, scenario)
      .filter((row) => row.workers === workers && row.efficiency < least)
      .map(({ efficiency }) => `${scenario}, ${workers} workers: efficiency ${efficiency}, wanted ${least}`),
  )
  const ours = oursOf(results)
  const cost = ours?.cost_ratio ?? Infinity
  const dear = cost > mostCost ? [`the day costs ${cost} of the lower bound, wanted ${mostCost}`] : []
  const cheaper = dayRows(results)
    .filter(({ policy, cost_ratio }) => !policy.startsWith('framefleet') && cost_ratio <= cost)
    .map(({ policy, cost_ratio }) => `${policy} costs ${cost_ratio}, and framefleet ${cost}`)
  const ratio = results.fairness_ratio
  const unfair =
    ratio !== null && ratio > mostFairness
      ? [`a clip behind a film takes ${ratio} times as long, wanted ${mostFairness}`]
      : []
  return [...slow, ...dear, ...cheaper, ...unfair]
}
