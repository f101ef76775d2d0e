import { afterEach, expect, test } from 'vitest'
import { pino } from 'pino'
import { FleetRefusal } from '../../src/autoscaler/fleet.ts'
import { createVmssFleet } from '../../src/autoscaler/fleets/vmss.ts'
import { noLimits, startVmssFleet, stopVmssFleets } from '../support/vmss-fleet.ts'

afterEach(stopVmssFleets)

test('capacity is never lowered, also when somebody else raises it between our look and our request', async () => {
  const { arm, fleet, signal, look } = await startVmssFleet({ capacity: 2 })
  await look()
  arm.set.setCapacity(6)
  await fleet.grow(4, signal)
  expect(arm.sent('PATCH')).toHaveLength(0)
  // Between reading the size and writing it: the tag no longer fits, and what is there is read again.
  arm.beforeNext(`PATCH ${arm.vmssId}`, () => arm.set.setCapacity(9))
  await fleet.grow(8, signal)
  expect(arm.set.capacity()).toBe(9)
  expect(arm.sent('PATCH')).toHaveLength(1)
  await fleet.grow(10, signal)
  expect(arm.set.capacity()).toBe(10)
})

test('no more is asked for than a set takes, and that is said; nor is it asked for ever while others change it', async () => {
  const large = await startVmssFleet({ coreQuota: 10_000 })
  expect(await large.fleet.grow(1_003, large.signal)).toBe(true)
  expect(large.arm.set.capacity()).toBe(1_000)
  expect((await large.refusal(1_003)).message).toBe('The scale set fleet takes 1000 machines at most.')
  const { arm, fleet, signal, refusal } = await startVmssFleet({ singlePlacementGroup: true, capacity: 1 })
  let others = 1
  const hold = () => {
    arm.beforeNext(`PATCH ${arm.vmssId}`, () => {
      arm.set.setCapacity(++others)
      hold()
    })
  }
  hold()
  expect((await refusal(120)).message).toMatch(/^Others change the scale set fleet/)
  expect(others).toBe(4)
  arm.beforeNext(`PATCH ${arm.vmssId}`, () => undefined)
  await fleet.grow(120, signal)
  expect(arm.set.capacity()).toBe(100)
})

test('what was not asked anew is a guess: another autoscaler may have grown the fleet since', async () => {
  const limits = { ...noLimits, get: { perMinute: 0.001, burst: 5 } }
  const { arm, fleet, signal } = await startVmssFleet({ capacity: 2 }, { limits })
  expect((await fleet.look(signal)).guessed).toBeUndefined()
  arm.set.resize(8)
  arm.set.settle()
  expect(await fleet.look(signal)).toMatchObject({ capacity: 2, guessed: true })
})

test('what a quota has room for is asked for, and the refusal says what stood in the way', async () => {
  const { arm, look, refusal } = await startVmssFleet({ capacity: 2, coreQuota: 23 })
  const { message, retryAfterMs } = await refusal(10)
  expect(arm.set.capacity()).toBe(5)
  expect(message).toContain('3 of 8 machines were asked for')
  expect(message).toContain("Azure's quota is used up")
  expect(message).not.toContain('https://')
  expect(retryAfterMs).toBeGreaterThanOrEqual(60_000)
  arm.set.settle()
  expect((await look()).capacity).toBe(5)
  const full = await refusal(10)
  expect(full.message).not.toContain('were asked for')
  expect(arm.set.capacity()).toBe(5)
})

test('no room for spot machines is learnt of later: the next growth is refused, what came stays, what failed is told', async () => {
  let time = Date.now()
  const { arm, fleet, signal, look, refusal } = await startVmssFleet({ capacity: 1 }, { now: () => time })
  arm.set.runOut(1)
  await fleet.grow(4, signal)
  arm.set.settle()
  expect(await look()).toEqual({
    capacity: 4,
    states: { fleet_0: 'running', fleet_1: 'running', fleet_2: 'failed', fleet_3: 'failed' },
  })
  const { message, retryAfterMs } = await refusal(4)
  expect(message).toMatch(/^Azure has no room for more machines of fleet: .*OverconstrainedAllocationRequest/)
  await fleet.remove(['fleet_2', 'fleet_3'], signal)
  arm.set.settle()
  expect(await look()).toMatchObject({ capacity: 2 })
  expect(arm.sent('PATCH')).toHaveLength(1)
  time += retryAfterMs + 1
  await fleet.grow(4, signal)
  expect(arm.set.capacity()).toBe(4)
})

test('a growth that a newer one replaced is no failure', async () => {
  const { arm, fleet, signal, look } = await startVmssFleet()
  await fleet.grow(1, signal)
  await fleet.grow(2, signal)
  arm.set.settle()
  await look()
  await fleet.grow(3, signal)
  expect(arm.set.capacity()).toBe(3)
})

test('a request that is throttled for a moment is sent again; for longer, growth waits and what is known serves', async () => {
  let time = Date.now()
  const { arm, fleet, signal, look, refusal } = await startVmssFleet({ capacity: 2 }, { now: () => time })
  arm.throttle({ count: 2, retryAfter: '0' })
  const first = await look()
  expect(first.capacity).toBe(2)

  arm.throttle({ retryAfter: '37' })
  const before = arm.requests.length
  expect(await look()).toEqual(first)
  expect(arm.requests).toHaveLength(before + 1)
  // Azure is left alone, by all that we do.
  expect(await look()).toEqual(first)
  await expect(fleet.remove(['fleet_0'], signal)).rejects.toThrow('too many requests')
  const { retryAfterMs } = await refusal(3)
  expect(retryAfterMs).toBeGreaterThan(30_000)
  expect(arm.requests).toHaveLength(before + 1)
  time += 37_001
  await fleet.grow(3, signal)
  expect(arm.set.capacity()).toBe(3)
  // Where Azure does not say for how long: its limits are by the minute.
  arm.throttle()
  expect((await refusal(4)).retryAfterMs).toBe(60_000)
})

test('Azure is asked no more often than it allows, and growth keeps its share of what it allows', async () => {
  let time = Date.now()
  const now = () => time
  const { arm, fleet, signal, look } = await startVmssFleet({ capacity: 5 }, { limits: undefined, now })
  for (let turn = 0; turn < 120; turn++) {
    await look()
    time += 2_000
  }
  // Four minutes: a bucket of 36 gets and 12 a minute; of 30 pages of machines and 10 a minute.
  const gets = arm.sent('GET', '/fleet').length
  expect(gets).toBeGreaterThan(50)
  expect(gets).toBeLessThan(36 + 4 * 12)
  expect(arm.sent('GET', '/virtualMachines').length).toBeLessThan(30 + 4 * 10)
  // Where its machines are VMs of their own: three hundred pages a minute, for all of the subscription.
  const own = await startVmssFleet({ capacity: 5, orchestrationMode: 'Flexible' }, { limits: undefined, now })
  for (let turn = 0; turn < 120; turn++) {
    await own.look()
    time += 2_000
  }
  expect(own.arm.sent('GET', '/virtualMachines').length).toBeLessThan(300)
  expect(own.arm.sent('GET', '/virtualMachines').length).toBeGreaterThan(30 + 4 * 10)
  for (let turn = 0; turn < 30; turn++) await look()
  for (let to = 6; to < 9; to++) await fleet.grow(to, signal)
  expect(arm.set.capacity()).toBe(8)
  expect((await look()).capacity).toBe(8)

  const refused = async (to: number) => await fleet.grow(to, signal).catch((error: unknown) => error)
  let to = 9
  for (; to < 100 && !((await refused(to)) instanceof FleetRefusal); to++) time += 8_000
  expect(await refused(to)).toMatchObject({
    message: expect.stringContaining('as often as it allows') as string,
  })
  expect(arm.sent('PATCH').length).toBeLessThan(12 + ((to - 9) * 8_000 * 4) / 60_000)
})

test('what is not allowed names the role, and what is wrong about the set is one sentence', async () => {
  const { arm, fleet, signal, look, refusal } = await startVmssFleet({ capacity: 1 })
  await look()
  arm.forbid('write', 'fleet')
  const { message } = await refusal(2).finally(arm.allowAll)
  expect(message).toMatch(/Virtual Machine Contributor on the scale set fleet/)
  expect(message).toContain('virtualMachineScaleSets/write')
  arm.forbid('delete/action', '/delete')
  await expect(fleet.remove(['fleet_0'], signal)).rejects.toThrow(/Virtual Machine Contributor/)

  const other = createVmssFleet({
    vmssId: `${arm.vmssId}-2`,
    endpoint: arm.endpoint,
    credential: { getToken: async () => null },
    log: pino({ level: 'silent' }),
  })
  await expect(other.look(signal)).rejects.toThrow(/Azure does not know who we are/)
  const missing = createVmssFleet({ ...arm, vmssId: `${arm.vmssId}-2`, log: pino({ level: 'silent' }) })
  await expect(missing.look(signal)).rejects.toThrow(
    'There is no scale set fleet-2: check FRAMEFLEET_VMSS_ID.',
  )
  expect(() => createVmssFleet({ ...arm, vmssId: '/x', log: pino({ level: 'silent' }) })).toThrow(
    /id of a scale set/,
  )
})

test('a signal ends a call in any of its requests, also at a later page, and so does closing', async () => {
  const { arm, fleet } = await startVmssFleet({ capacity: 5 })
  const stop = new AbortController()
  let pages = 0
  const hold = () => {
    arm.beforeNext('/virtualMachines', () => {
      if (++pages === 2) stop.abort(new Error('told to stop'))
      else hold()
    })
  }
  hold()
  await expect(fleet.look(stop.signal)).rejects.toThrow(/aborted/)
  expect(arm.sent('GET', '/virtualMachines')).toHaveLength(2)
  await fleet.close()
  await expect(fleet.look(new AbortController().signal)).rejects.toThrow(/aborted/)
})
