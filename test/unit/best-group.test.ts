import { expect, test } from 'vitest'
import { InputError } from '../../src/shared/errors.ts'
import { startBestGroup } from '../../src/worker/best-group.ts'
import type { Engine } from '../../src/worker/engine.ts'

/** Engines that take these milliseconds for a run of each group; what is missing is refused. */
function engines(runMs: Record<number, number>) {
  const open = new Set<number>()
  const tried: number[] = []
  const start = async (group: number): Promise<Engine> => {
    await Promise.resolve()
    tried.push(group)
    const ms = runMs[group]
    if (ms === undefined) throw new InputError('model-refuses-size', 'one frame at a time')
    open.add(group)
    return {
      ...{ output: { width: 1, height: 1 }, device: 'cpu' as const, group, lanes: 1, runMs: ms },
      openRing: () => Promise.reject(new Error('not needed')),
      broken: () => false,
      close: async () => await Promise.resolve(void open.delete(group)),
    }
  }
  return { start, open, tried }
}

test.each([
  ['a long run is not tried in groups', { 1: 21, 2: 1 }, 1, [1]],
  ['one is as good as two', { 1: 10, 2: 19.5 }, 1, [1, 2]],
  ['two are better, four are not', { 1: 10, 2: 15, 4: 29.9 }, 2, [1, 2, 4]],
  ['eight are best', { 1: 10, 2: 15, 4: 20, 8: 30 }, 8, [1, 2, 4, 8]],
  ['a model that takes one only', { 1: 10 }, 1, [1, 2]],
])('%s', async (_, runMs, group, tried) => {
  const found = engines(runMs)
  expect((await startBestGroup(found.start)).group).toBe(group)
  expect(found.tried).toEqual(tried)
  expect([...found.open]).toEqual([group])
})
