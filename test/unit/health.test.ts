import Fastify from 'fastify'
import { expect, test, vi } from 'vitest'
import { addHealthRoutes } from '../../src/shared/health-server.ts'

test('however many ask whether a role is ready, what it needs is looked at once a second', async () => {
  const looks: number[] = []
  let ready = true
  const isReady = async () => {
    looks.push(performance.now())
    if (!ready) throw new Error('storage is away')
    return await Promise.resolve(true)
  }
  const app = Fastify()
  addHealthRoutes(app, { isReady })
  const ask = async () => (await app.inject('/readyz')).statusCode
  const statuses = await Promise.all(Array.from({ length: 50 }, ask))
  expect(new Set(statuses)).toEqual(new Set([200]))
  ready = false
  await vi.waitFor(async () => expect(await ask()).toBe(503), { timeout: 10_000, interval: 20 })
  ready = true
  await vi.waitFor(async () => expect(await ask()).toBe(200), { timeout: 10_000, interval: 20 })
  const between = looks.slice(1).map((at, i) => at - (looks[i] ?? 0))
  expect(between.length).toBeGreaterThanOrEqual(2)
  // A timer may be a millisecond early.
  expect(Math.min(...between)).toBeGreaterThanOrEqual(990)
})
