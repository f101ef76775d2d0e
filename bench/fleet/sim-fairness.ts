import { fixed } from './controller.ts'
import { mean, rounded } from './sim-row.ts'
import { simulate } from './simulate.ts'
import { type Arrival, calm } from './world.ts'

export type FairnessRow = {
  workers: number
  seconds_per_frame: number
  set_up_s: number
  /** From its arrival to its last batch: planning, the same in both, is in it. */
  alone_s: number
  behind_s: number
  ratio: number
  /** The same from when its batches are in line: without the planning. */
  ratio_in_line: number
}

const clipSeconds = 10
const filmSeconds = 36_000
const fps = 25
const seeds = 40
const planSeconds = 2

/**
 * A clip of ten seconds that comes in the middle of a film of ten hours, beside the same clip alone on a fair share of the workers,
 * which is half. `ratio`: of the means over the seeds, each with the clip at another moment.
 */
export function simulateFairness(options: {
  workers: number
  secondsPerFrame: number
  setUpSeconds: number
}): FairnessRow {
  const { workers, secondsPerFrame, setUpSeconds } = options
  const job = (client: string, at: number, seconds: number): Arrival => ({
    ...{ client, at, frames: seconds * fps, secondsPerFrame, priority: 5 },
  })
  const film = filmSeconds * fps * secondsPerFrame
  const runs = Array.from({ length: seeds }, (_, i) => {
    const world = { ...calm, seed: i + 1, setUpSeconds, planSeconds: () => planSeconds }
    const clipOf = (size: number, arrivals: Arrival[]) => {
      const { jobs } = simulate({ world, arrivals, controller: fixed(size), planWorkers: workers })
      const clip = jobs.at(-1)
      return (clip?.endedAt ?? Infinity) - (clip?.at ?? 0)
    }
    // Between a quarter and three quarters of the film: not at its start, when all batches end at once.
    const at = (film / workers) * (0.25 + (0.5 * i) / seeds)
    return {
      alone: clipOf(workers / 2, [job('short', 0, clipSeconds)]),
      behind: clipOf(workers, [job('long', 0, filmSeconds), job('short', at, clipSeconds)]),
    }
  })
  const alone = mean(runs.map((run) => run.alone))
  const behind = mean(runs.map((run) => run.behind))
  return {
    ...{ workers, seconds_per_frame: secondsPerFrame, set_up_s: setUpSeconds },
    ...{ alone_s: rounded(alone), behind_s: rounded(behind), ratio: rounded(behind / alone) },
    ratio_in_line: rounded((behind - planSeconds) / (alone - planSeconds)),
  }
}
