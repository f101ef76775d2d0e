import { Registry } from 'prom-client'
import { expect, test } from 'vitest'
import type { WorkerState } from '../../src/shared/fleet.ts'
import { createStateGauge } from '../../src/worker/state-gauge.ts'

test('the state is what it is when it is asked for', async () => {
  const registry = new Registry()
  let state: WorkerState = 'idle'
  createStateGauge(registry, () => state)
  const told = async () => {
    const lines = (await registry.metrics()).split('\n').filter((line) => line.endsWith('} 1'))
    return lines.map((line) => /state="(\w+)"/.exec(line)?.[1])
  }
  expect(await told()).toEqual(['idle'])
  state = 'draining'
  expect(await told()).toEqual(['draining'])
})
