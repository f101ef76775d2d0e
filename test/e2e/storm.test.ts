import { expect, test } from 'vitest'
import type { FaultKind } from '../../scripts/chaos/faults.ts'
import { isWhole } from '../../scripts/chaos/outcome.ts'
import { runStorm } from '../../scripts/chaos/storm.ts'
import { tempDir } from '../support/temp-dir.ts'

const dir = tempDir()

/** Those that are over soon: the others are for `npm run chaos`. */
const quick: FaultKind[] = [
  ...([
    'kill-worker',
    'kill-engine',
    'kill-ffmpeg',
    'kill-producer',
    'kill-stitcher',
    'leave-worker',
  ] as const),
  ...(['kill-redis', 'wipe-redis', 'cut-redis', 'kill-storage', 'busy-storage', 'storage-resets'] as const),
  ...(['dead-scratch', 'garbage', 'poison'] as const),
]

/** One whose wipe of Redis comes before the garbage: what is wiped before anybody found it does not count as injected. */
const seed = 32

test('a short storm loses no job, changes no frame and leaves nothing behind', async () => {
  const lines: string[] = []
  const { outcome, troubles } = await runStorm({
    ...{ dir, seed, ms: 35_000, gapMs: [2_000, 2_600], kinds: quick, workers: 2, customers: 2 },
    ...{ settleMs: 60_000, tidyMs: 40_000, signal: new AbortController().signal },
    wanted: ({ name }) =>
      ['ride, passed through', 'uneven times, relief', 'failing, passthrough'].includes(name),
    say: (line) => lines.push(line),
  })
  expect({ troubles, outcome, lines }).toMatchObject({
    troubles: [],
    outcome: { lost: 0, hung: 0, wrong_ends: 0, differing_frames: 0, orphans: 0 },
  })
  expect(isWhole(outcome)).toBe(true)
  expect(outcome.kinds).toBeGreaterThanOrEqual(12)
  expect(outcome.jobs).toBeGreaterThanOrEqual(3)
  expect(outcome.poison_injected).toBeGreaterThanOrEqual(2)
})
