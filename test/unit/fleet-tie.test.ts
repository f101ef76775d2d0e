import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { simulateReal } from '../../bench/fleet/as-real.ts'
import type { FleetResults } from '../../bench/fleet/results.ts'
import { planBatches } from '../../src/producer/plan-batches.ts'
import { cuttingPace, paceFor } from '../../src/producer/plan-pace.ts'

const file = new URL('../../bench/results/fleet.json', import.meta.url)
const { real_measure } = JSON.parse(readFileSync(file, 'utf8')) as FleetResults
const measured = real_measure?.runs ?? []
const runs = measured.map((run) => {
  // Its own set-up is what its makespan left over: with that, anything would fit.
  const others = measured.filter((each) => each !== run)
  const setUpSeconds = others.reduce((sum, each) => sum + each.setUpSeconds, 0) / others.length
  return { ...run, setUpSeconds, who: run.slow ? 'one slow' : 'all alike' }
})
const tolerance = 0.025
/** The film's rate, with a keyframe a second. */
const gop = 30

const awayFrom = (seconds: number, run: { makespan_s: number }) => Math.abs(seconds / run.makespan_s - 1)

test('real workers were measured, few and many, and with a slow one among them', () => {
  expect(runs.map(({ workers }) => workers)).toEqual(expect.arrayContaining([2, 4, 8, 16]))
  expect(runs.some(({ slow }) => slow !== undefined)).toBe(true)
})

test.each(runs)('$workers simulated workers, $who, take as long as real ones took', (run) => {
  const { makespanSeconds, copies } = simulateReal(run)
  expect(awayFrom(makespanSeconds, run)).toBeLessThan(tolerance)
  expect(copies > 0).toBe(run.copies > 0)
})

test('dividing the work by the workers alone is further from it than that, where one is slow', () => {
  const slow = runs.filter((run) => run.slow !== undefined)
  for (const { frames, secondsPerFrame, workers, slow: factor = 1, ...run } of slow) {
    const divided = (frames * secondsPerFrame) / (workers - 1 + 1 / factor)
    expect(awayFrom(divided, run)).toBeGreaterThan(tolerance)
  }
})

test.each(runs)('a film for $workers workers, $who, is cut as it was then', (run) => {
  const keyframes = Array.from({ length: Math.ceil(run.frames / gop) }, (_, second) => second * gop)
  const work = { model: 'any@1', size: '64x36' }
  const reckoning = () => ({ secondsPerFrame: 0, setUpSeconds: 0, measured: false })
  const pace = paceFor(work, { wish: 1 / run.secondsPerFrame, workers: run.workers, reckoning })
  expect(planBatches(run.frames, keyframes, cuttingPace(pace))).toEqual(run.plan)
})
