import { expect, test } from 'vitest'
import { planBatches } from '../../src/producer/plan-batches.ts'
import { cuttingPace, paceFor } from '../../src/producer/plan-pace.ts'
import { readReckoning } from '../../src/shared/reckoning.ts'
import type { Rate } from '../../src/shared/rates.ts'
import type { WorkerRecord } from '../../src/shared/fleet.ts'

const rate = (
  device: string,
  secondsPerFrame: number,
  batches: number,
  setUpSeconds = 0.4,
  at = 1,
): Rate => ({
  ...{ model: 'm@1', size: '640x360', device, secondsPerFrame, setUpSeconds, batches, at },
})
const reckoningOf = async (rates: Rate[], devices: (string | null)[]) =>
  await readReckoning({
    rates: { all: async () => rates },
    registry: { list: async () => devices.map((device) => ({ device }) as WorkerRecord) },
  })
const work = { model: 'm@1', size: '640x360' }

test('what counts is the device that most workers have, however much was measured on others', async () => {
  const rates = [rate('cpu', 0.2, 900), rate('cuda', 0.01, 3, 0.4, 2)]
  expect((await reckoningOf(rates, ['cuda', 'cuda', 'cpu', null]))(work).secondsPerFrame).toBe(0.01)
  expect((await reckoningOf(rates, ['cpu', 'cuda', 'cpu']))(work).secondsPerFrame).toBe(0.2)
  expect((await reckoningOf(rates, []))(work).secondsPerFrame, 'the last one').toBe(0.01)
})

test.each([0.106, 0.12, 0.125, 0.148])(
  'a pace near an eighth of a second counts as that: %f',
  async (seconds) => {
    const reckoning = await reckoningOf([rate('cpu', seconds, 9, 0.55)], ['cpu'])
    expect(paceFor(work, { wish: 'measured', workers: 4, reckoning })).toEqual({
      ...{ workers: 4, secondsPerFrame: 0.125, setUpSeconds: 0.5, measured: true },
    })
  },
)

test('a number that is set stands for what was measured', async () => {
  const reckoning = await reckoningOf([rate('cpu', 0.2, 9)], ['cpu'])
  expect(paceFor(work, { wish: 40, workers: 4, reckoning })).toMatchObject({
    ...{ secondsPerFrame: 0.025, measured: true },
  })
})

test.each([
  ['that was never measured', [], 'measured' as const],
  ['whose pace is not asked for', [rate('cpu', 0.2, 9)], 'unknown' as const],
])('the video of a model %s is cut by its frames alone', async (_, rates, wish) => {
  const pace = paceFor(work, { wish, workers: 4, reckoning: await reckoningOf(rates, ['cpu']) })
  expect(pace).toMatchObject({ measured: false, workers: 4 })
  expect(planBatches(1_000, null, cuttingPace(pace))).toEqual(planBatches(1_000, null, { workers: 4 }))
})

const long = 864_000
test.each([
  [
    'a film on sixteen, half a second of set-up',
    long,
    { secondsPerFrame: 0.05, setUpSeconds: 0.5, workers: 16 },
    // There may be no more than 20,000.
    [10, 2.2],
  ],
  [
    'a film on sixteen, three seconds of set-up',
    long,
    { secondsPerFrame: 0.05, setUpSeconds: 3, workers: 16 },
    [60, 12],
  ],
  ['a film on one', long, { secondsPerFrame: 0.05, setUpSeconds: 0.5, workers: 1 }, [10, 10]],
  ['a clip on four', 250, { secondsPerFrame: 0.05, setUpSeconds: 0.5, workers: 4 }, [2.15, 2]],
  ['a slow model', 1_000, { secondsPerFrame: 10, setUpSeconds: 1, workers: 4 }, [160, 160]],
  ['a fast model', long, { secondsPerFrame: 0.001, setUpSeconds: 0.5, workers: 4 }, [10, 2]],
])('batches of %s last from so many seconds to so many', (_, frames, pace, [longest = 0, shortest = 0]) => {
  const batches = planBatches(frames, null, pace)
  expect(batches.reduce((sum, count) => sum + count)).toBe(frames)
  expect(batches.length).toBeLessThanOrEqual(20_000)
  expect(Math.max(...batches) * pace.secondsPerFrame).toBeCloseTo(longest, 0)
  // Never longer than the one before, but for a crumb that joined the last.
  expect(batches.slice(0, -1).every((count, i) => count <= (batches[i - 1] ?? count))).toBe(true)
  expect((batches.at(-3) ?? 0) * pace.secondsPerFrame).toBeCloseTo(shortest, 1)
})
