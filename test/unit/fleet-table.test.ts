import { expect, test } from 'vitest'
import { describeFleet } from '../../src/cli/commands/fleet.ts'
import type { Fleet } from '../../src/client/client.ts'

const now = 10_000_000
const settings = { min: 0, max: 4, size: null, paused: false }
const nobody: Fleet = { settings, autoscaler: null, workers: [], workersTotal: 0, rates: [] }

test('a fleet that nobody scales, without workers', () => {
  expect(describeFleet(nobody, now)).toEqual([
    'set      0 to 4 instances, as many as the work needs',
    'now      no autoscaler has been at work for a minute',
    '',
    'no workers',
  ])
})

test('every worker has a line, by instance, and what troubles the autoscaler is told', () => {
  const worker = {
    ...{ id: 'a', startedAt: 0, beatAt: now, models: [], framesPerSecond: null, batches: 0, leaving: null },
    ...{ instance: 'fleet_12', state: 'idle' as const, since: now - 30_000, device: null },
  }
  const shown = describeFleet(
    {
      ...nobody,
      settings: { ...settings, size: 3, paused: true },
      autoscaler: {
        ...{ at: '2026-01-01T00:00:00Z', fleet: 'vmss', instances: 2, target: 3, why: 'set by hand' },
        ...{ demandSeconds: 9_000, startSeconds: 150, error: 'no quota for more' },
        byHand: { size: 3, until: '2026-01-01T01:00:00Z' },
      },
      workers: [
        worker,
        {
          ...{ ...worker, id: 'b', instance: 'fleet_1', state: 'busy', since: now - 600_000, device: 'cuda' },
          ...{ framesPerSecond: 41.26, batches: 17, models: ['great-wave@1 1280x720', 'm@1 640x360'] },
        },
        { ...worker, id: 'c', instance: 'fleet_2', state: 'draining', leaving: 'Preempt of this machine' },
      ],
      workersTotal: 5,
    },
    now,
  )
  expect(shown).toEqual([
    'set      0 to 4 instances, 3 by hand, paused',
    'now      2 instances, 2.5 h of work for one worker in line',
    'target   3: set by hand',
    'by hand  3, kept until 2026-01-01T01:00:00Z',
    'trouble  no quota for more',
    '',
    'INSTANCE  STATE     SINCE   DEVICE  FPS   BATCHES  MODEL',
    'fleet_1   busy      10 min  cuda    41.3  17       great-wave@1 1280x720',
    'fleet_12  idle      30 s    -       -     0        -',
    'fleet_2   draining  30 s    -       -     0        leaving: Preempt of this machine',
    'and 2 more',
  ])
})
