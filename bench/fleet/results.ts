import type { Machine } from '../machine.ts'
import type { PlanResults } from './plan-1m.ts'
import { chosenPrice } from './prices.ts'
import type { RealMeasure } from './real/measure.ts'
import { type DayRow, dayHours, daySettings, simulateDay } from './sim-day.ts'
import { type EfficiencyRow, simulateEfficiency } from './sim-efficiency.ts'
import { type FairnessRow, simulateFairness } from './sim-fairness.ts'
import { mean, rounded } from './sim-row.ts'

/** What is kept in `results/fleet.json`; README.md explains the names. */
export type FleetResults = {
  /** By the number of workers, of the runs in which all were alike. */
  real: Record<string, number>
  sim: (EfficiencyRow | DayRow)[]
  fairness_ratio: number | null
  plan_1m_frames: PlanResults | null
  fairness_sim: FairnessRow[]
  real_measure: RealMeasure | null
  /** One day in steps of five minutes, with the product's policy. */
  day: { hour: number; machines: number; busy: number }[]
  settings: typeof daySettings
  price: ReturnType<typeof chosenPrice>
  /** When, and where, what is measured was measured. */
  measured: Partial<Record<'real' | 'plan', { at: string; machine: Machine }>>
}

const workerCounts = Array.from({ length: 11 }, (_, power) => 2 ** power)
const loads = [
  { scenario: 'day, a quarter of the jobs', load: 0.25 },
  { scenario: 'day, four times the jobs', load: 4 },
]

type Simulated = Pick<FleetResults, 'sim' | 'fairness_sim' | 'day' | 'settings' | 'price'>

/** All that is simulated: the same in every run of the same code. */
export function simulateAll(say: (line: string) => void): Simulated {
  say('one job for 1 to 1,024 workers ...')
  const efficiency = workerCounts.flatMap((workers) =>
    (workers === 1 ? [0] : [0, 1]).map((slow) => simulateEfficiency(workers, slow)),
  )
  say('days of jobs, under each policy ...')
  const { rows, first } = simulateDay()
  const others = loads.flatMap(({ scenario, load }) => simulateDay(scenario, load).rows)
  say('a clip behind a film ...')
  const fairness = [usualSetUpSeconds, daySettings.setUpSeconds].flatMap((setUpSeconds) =>
    [0.04, 0.2, 0.5].map((secondsPerFrame) =>
      simulateFairness({ workers: 16, secondsPerFrame, setUpSeconds }),
    ),
  )
  return {
    sim: [...efficiency, ...rows, ...others],
    fairness_sim: fairness,
    day: dayHours(first),
    settings: daySettings,
    price: chosenPrice(),
  }
}

/** What a batch costs beside its frames until somebody has measured it: what the product reckons with. */
const usualSetUpSeconds = 0.5

/** Of real workers where that was measured; else as it is simulated. */
export const fairnessOf = ({ real_measure, fairness_sim }: FleetResults): number =>
  real_measure?.fairness_ratio ?? simulatedFairness(fairness_sim)

/** The mean over all paces and set-ups that are simulated. */
export const simulatedFairness = (rows: FairnessRow[]): number =>
  rounded(mean(rows.map(({ ratio }) => ratio)))

export const efficiencies = ({ runs }: RealMeasure): Record<string, number> =>
  Object.fromEntries(
    runs.flatMap(({ workers, slow, efficiency }) => (slow ? [] : [[String(workers), efficiency]])),
  )

/** The rows of one job for so many workers, with a slow one among them or not. */
export const efficiencyRows = ({ sim }: Pick<FleetResults, 'sim'>, scenario: string): EfficiencyRow[] =>
  sim.filter((row): row is EfficiencyRow => 'worst' in row && row.scenario === scenario)

export const dayRows = ({ sim }: Pick<FleetResults, 'sim'>, scenario = 'day'): DayRow[] =>
  sim.filter((row): row is DayRow => 'dollars' in row && row.scenario === scenario)
