import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { simulateReal } from '../../bench/fleet/as-real.ts'
import type { FleetResults } from '../../bench/fleet/results.ts'

const file = new URL('../../bench/results/fleet.json', import.meta.url)
const { real_measure } = JSON.parse(readFileSync(file, 'utf8')) as FleetResults
const runs = (real_measure?.runs ?? []).map((run) => ({ ...run, who: run.slow ? 'one slow' : 'all alike' }))

test('real workers were measured, few and many, and with a slow one among them', () => {
  expect(runs.map(({ workers }) => workers)).toEqual(expect.arrayContaining([2, 4, 8]))
  expect(runs.some(({ slow }) => slow !== undefined)).toBe(true)
})

test.each(runs)('$workers simulated workers, $who, take as long as real ones took, within a tenth', (run) => {
  const { makespanSeconds } = simulateReal(run)
  expect(makespanSeconds / run.makespan_s).toBeGreaterThan(0.9)
  expect(makespanSeconds / run.makespan_s).toBeLessThan(1.1)
})
