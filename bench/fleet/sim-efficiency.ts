import { fixed } from './controller.ts'
import { mean, rounded, type SimRow } from './sim-row.ts'
import { simulate } from './simulate.ts'
import { calm, type World } from './world.ts'

export type EfficiencyRow = SimRow & { batches: number; worst: number; copies: number }

const jobSeconds = 72 * 60
const seeds = 20
/** The pace that videos are cut by counts in steps: over a whole octave each of them is met. */
const paces = [0.03, 0.0336, 0.04, 0.0476, 0.0566]
const slowFactor = 3

/**
 * One job of 72 minutes of work for workers that are there and ready, as many as it was cut for: work ÷ (workers × makespan),
 * over several paces and seeds; `worst` is the mean over the seeds of the worst pace. A slow worker among them does not change the
 * divisor: what is lost by it counts.
 */
export function simulateEfficiency(workers: number, slowWorkers: number): EfficiencyRow {
  const byPace = paces.map((secondsPerFrame) =>
    Array.from({ length: seeds }, (_, i) => {
      const world: World = {
        ...calm,
        seed: i + 1,
        slow: { machines: slowWorkers, factor: slowFactor },
      }
      const frames = Math.round(jobSeconds / secondsPerFrame)
      return simulate({
        world,
        arrivals: [{ at: 0, client: 'one', frames, secondsPerFrame, priority: 5 }],
        controller: fixed(workers),
        planWorkers: workers,
      })
    }),
  )
  const all = byPace.flat()
  const efficiencies = byPace.map((outcomes) =>
    mean(outcomes.map(({ workSeconds, makespanSeconds }) => workSeconds / (workers * makespanSeconds))),
  )
  return {
    scenario: slowWorkers > 0 ? 'job-one-slow' : 'job',
    policy: 'fixed',
    workers,
    efficiency: rounded(mean(efficiencies)),
    worst: rounded(Math.min(...efficiencies)),
    makespan_s: rounded(mean(all.map(({ makespanSeconds }) => makespanSeconds))),
    cost_ratio: rounded(mean(all.map(({ seconds, workSeconds }) => seconds.billed / workSeconds))),
    batches: Math.round(mean(all.map(({ batches }) => batches))),
    copies: rounded(mean(all.map(({ copies }) => copies))),
  }
}
