import { expect, test } from 'vitest'
import { logJanitorChore } from '../../src/producer/log-janitor.ts'
import { useServices } from '../support/use-services.ts'

const services = useServices()

test('days that are older than they are kept go, the oldest first, and nothing else', async () => {
  const store = await services.container()
  const kept = [
    'logs/2026-03-02/worker/a',
    'logs/2026-03-10/worker/a',
    'logs/readme.txt',
    'models/m/1/model.json',
  ]
  const old = ['logs/2025-12-31/worker/a', 'logs/2026-03-01/stitcher/b', 'logs/2026-03-01/worker/a']
  for (const name of [...kept, ...old]) await store.write(name, Buffer.from('line'))
  const names = async () => {
    const found: string[] = []
    for await (const { name } of store.list('')) found.push(name)
    return found
  }
  const chore = (keepDays: number) =>
    logJanitorChore(store, {
      everyMs: 1,
      keepDays,
      pageSize: 2,
      now: () => Date.parse('2026-03-10T12:00:00Z'),
    })
  const { signal } = new AbortController()
  expect(await chore(0).run(signal)).toEqual({ removed: 0 })
  expect(await names()).toHaveLength(7)
  expect(await chore(8).run(signal)).toEqual({ removed: 2 })
  expect(await names()).toEqual([old[2] ?? '', ...kept].toSorted())
  expect(await chore(8).run(signal)).toEqual({ removed: 1 })
  expect(await chore(8).run(signal)).toEqual({ removed: 0 })
  expect(await names()).toEqual(kept.toSorted())
})
