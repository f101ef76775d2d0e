import { fixed } from './controller.ts'
import type { RealRun } from './real/figures.ts'
import { type Outcome, simulate } from './simulate.ts'
import { calm } from './world.ts'

type Measured = Pick<RealRun, 'workers' | 'slow' | 'plan' | 'secondsPerFrame' | 'setUpSeconds'>

/**
 * A run of real workers, simulated: the same batches for as many workers at the same pace, each with the set-up that was
 * measured. Their models wait for a time that is always the same, so batches hardly vary.
 */
export function simulateReal({ workers, slow, plan, secondsPerFrame, setUpSeconds }: Measured): Outcome {
  const frames = plan.reduce((sum, count) => sum + count, 0)
  return simulate({
    world: { ...calm, cv: 0.02, setUpSeconds, slow: { machines: slow ? 1 : 0, factor: slow ?? 1 } },
    arrivals: [{ at: 0, client: 'one', frames, secondsPerFrame, priority: 5 }],
    controller: fixed(workers),
    ...{ planWorkers: workers, plan },
  })
}
