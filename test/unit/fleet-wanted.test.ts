import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import type { FleetResults } from '../../bench/fleet/results.ts'
import { troublesOf } from '../../bench/fleet/wanted.ts'

const file = new URL('../../bench/results/fleet.json', import.meta.url)
const kept = JSON.parse(readFileSync(file, 'utf8')) as FleetResults
const ours = kept.sim.find((row) => row.policy === `framefleet ${kept.settings.defaultBacklogSeconds}`)
const plan = kept.plan_1m_frames
if (!ours || !('dollars' in ours) || !plan) throw new Error('the results lack what is changed here')
/** How long planning took is a matter of the machine that it was measured on. */
const quick = { ...plan, post_p50_ms: 50, post_p99_ms: 99, worst_redis_command_ms: 49 }
const fine: FleetResults = { ...kept, plan_1m_frames: quick }

test('what is simulated is as it should be', () => {
  expect(troublesOf(fine)).toEqual([])
})

test.each<[string, Partial<FleetResults>, RegExp]>([
  ['a rival', { sim: [...kept.sim, { ...ours, policy: 'fixed, well' }] }, /^fixed, well costs/],
  [
    'our price',
    { sim: kept.sim.map((row) => (row === ours ? { ...ours, cost_ratio: 1.16 } : row)) },
    /1\.16/,
  ],
  ['real fairness', { fairness_ratio: 1.6 }, /1\.6 times as long, real/],
  [
    'simulated fairness',
    { fairness_sim: kept.fairness_sim.map((row) => ({ ...row, ratio: 1.7 })) },
    /1\.7 times as long, simulated/,
  ],
  ['half of the requests', { plan_1m_frames: { ...quick, post_p50_ms: 101 } }, /101 ms/],
  ['nearly all requests', { plan_1m_frames: { ...quick, post_p99_ms: 254 } }, /254 ms/],
  ['a command', { plan_1m_frames: { ...quick, worst_redis_command_ms: 51 } }, /Redis: within 51 ms/],
])('what is not is said: %s', (_, changed, said) => {
  expect(troublesOf({ ...fine, ...changed })).toEqual([expect.stringMatching(said)])
})
