import { Writable } from 'node:stream'
import { afterEach, expect, test } from 'vitest'
import { pino } from 'pino'
import { FleetRefusal } from '../../src/autoscaler/fleet.ts'
import { createVmssFleet, type VmssFleetOptions } from '../../src/autoscaler/fleets/vmss.ts'
import { type FakeArm, type FakeArmOptions, secretToken, startFakeArm } from '../support/fake-arm.ts'

/** Against a server that keeps Azure Resource Manager's contract: Azure itself can't be here. */
const open: { arm: FakeArm; close: () => Promise<void>; lines: string[] }[] = []
afterEach(async () => {
  for (const { arm, close, lines } of open.splice(0)) {
    await close()
    await arm.stop()
    if (lines.join('').includes(secretToken)) throw new Error('The token is in the log')
  }
})

const often = { perMinute: 60_000, burst: 10_000 }
const limits = { get: often, list: often, update: often, delete: often, operation: often }

async function start(options: FakeArmOptions = {}, more: Partial<VmssFleetOptions> = {}) {
  const arm = await startFakeArm(options)
  const lines: string[] = []
  const log = pino(new Writable({ write: (line, _, done) => (lines.push(String(line)), done()) }))
  const { vmssId, endpoint, credential } = arm
  const fleet = createVmssFleet({ vmssId, endpoint, credential, log, limits, pollEveryMs: 0, ...more })
  open.push({ arm, close: fleet.close, lines })
  const { signal } = new AbortController()
  const look = async () => {
    const { capacity, instances } = await fleet.look(signal)
    return { capacity, states: Object.fromEntries(instances.map(({ name, state }) => [name, state])) }
  }
  const refusal = async (to: number) => {
    const error = await fleet.grow(to, signal).catch((reason: unknown) => reason)
    if (!(error instanceof FleetRefusal)) throw new Error(`not refused: ${String(error)}`)
    return error
  }
  return { arm, fleet, signal, look, refusal, lines }
}

test('machines of all pages are seen as they start, run and go; growing does not wait for them', async () => {
  const { arm, fleet, signal, look, lines } = await start({ capacity: 1 })
  await fleet.grow(5, signal)
  expect(await look()).toEqual({
    capacity: 5,
    states: {
      fleet_0: 'running',
      fleet_1: 'starting',
      fleet_2: 'starting',
      fleet_3: 'starting',
      fleet_4: 'starting',
    },
  })
  expect(arm.sent('GET', '/virtualMachines')).toHaveLength(3)
  arm.set.settle()
  expect(Object.values((await look()).states)).toEqual(Array(5).fill('running'))

  await fleet.remove(['fleet_1', 'fleet_3', 'fleet_99'], signal)
  expect(arm.sent('POST', '/delete').map(({ body }) => JSON.parse(body) as unknown)).toEqual([
    { instanceIds: ['1', '3'] },
  ])
  expect(await look()).toMatchObject({ capacity: 3, states: { fleet_1: 'leaving', fleet_3: 'leaving' } })
  // Those that go already are not asked for once more.
  await fleet.remove(['fleet_1'], signal)
  expect(arm.sent('POST', '/delete')).toHaveLength(1)
  arm.set.settle()
  expect(Object.keys((await look()).states)).toEqual(['fleet_0', 'fleet_2', 'fleet_4'])
  expect(arm.sent('PATCH')).toHaveLength(1)
  expect(lines.filter((line) => line.includes('--disable-overprovision'))).toHaveLength(1)
})

test('capacity is never lowered, also when somebody else raises it between our look and our request', async () => {
  const { arm, fleet, signal, look } = await start({ capacity: 2 })
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

test('what a quota has room for is asked for, and the refusal says what stood in the way', async () => {
  const { arm, look, refusal } = await start({ capacity: 2, coreQuota: 23 })
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
  const { arm, fleet, signal, look, refusal } = await start({ capacity: 1 }, { now: () => time })
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

test('machines that Azure has given up on are asked for once more; those that go are not waited for', async () => {
  let time = Date.now()
  const { arm, fleet, signal, look } = await start({ capacity: 3, goalLags: true }, { now: () => time })
  await look()
  await fleet.remove(['fleet_0'], signal)
  // Azure's own number is still three.
  expect(await look()).toMatchObject({ capacity: 2, states: { fleet_0: 'leaving' } })
  arm.set.settle()
  expect(await look()).toMatchObject({ capacity: 2 })

  arm.set.runOut(1, { keepsRest: false })
  await fleet.grow(5, signal)
  expect((await look()).capacity).toBe(5)
  arm.set.settle()
  expect((await look()).capacity).toBe(3)
  expect(arm.set.capacity()).toBe(5)
  time += 10 * 60_000
  await look()
  time += 10 * 60_000
  await look()
  await fleet.grow(5, signal)
  arm.set.settle()
  expect(Object.keys((await look()).states)).toHaveLength(5)
})

test('a growth that a newer one replaced is no failure', async () => {
  const { arm, fleet, signal, look } = await start()
  await fleet.grow(1, signal)
  await fleet.grow(2, signal)
  arm.set.settle()
  await look()
  await fleet.grow(3, signal)
  expect(arm.set.capacity()).toBe(3)
})

test('evicted machines are gone, also where the set keeps them; a failed change to a running one is none of ours', async () => {
  const gone = await start({ capacity: 2 })
  await gone.look()
  gone.arm.set.evict('fleet_0')
  expect(await gone.look()).toEqual({ capacity: 1, states: { fleet_1: 'running' } })
  expect(gone.lines.join('')).toContain('gone without our doing')

  const kept = await start({ capacity: 3, evictionPolicy: 'Deallocate' })
  kept.arm.set.evict('fleet_0')
  kept.arm.set.fail('fleet_1', 'running')
  kept.arm.set.fail('fleet_2')
  // The one that is kept does not fill a place.
  expect(await kept.look()).toEqual({
    capacity: 2,
    states: { fleet_0: 'leaving', fleet_1: 'running', fleet_2: 'failed' },
  })
  await kept.fleet.grow(3, kept.signal)
  expect(kept.arm.set.capacity()).toBe(3)
  kept.arm.set.settle()
  expect(kept.arm.set.names()).toEqual(['fleet_1', 'fleet_2', 'fleet_3'])
  kept.arm.set.evict('fleet_1')
  await kept.look()
  await kept.fleet.remove(['fleet_2'], kept.signal)
  kept.arm.set.settle()
  expect(await kept.look()).toEqual({ capacity: 1, states: { fleet_3: 'running' } })
})

test('one that is gone already, or may not go, holds up no other', async () => {
  const { arm, fleet, signal, look } = await start({ capacity: 5 })
  await look()
  arm.set.evict('fleet_1')
  await fleet.remove(['fleet_0', 'fleet_1'], signal)
  arm.set.settle()
  expect(arm.set.names()).toEqual(['fleet_2', 'fleet_3', 'fleet_4'])

  // Azure says only at the end that one of them stays.
  arm.set.protect('fleet_2')
  await fleet.remove(['fleet_2', 'fleet_3'], signal)
  arm.set.settle()
  expect((await look()).states).toEqual({ fleet_2: 'running', fleet_4: 'running' })
  await expect(fleet.remove(['fleet_2', 'fleet_4'], signal)).rejects.toThrow(/fleet_2.*protected/)
  const asked = arm.sent('POST', '/delete').map(({ body }) => JSON.parse(body) as unknown)
  expect(asked.slice(-2)).toEqual([{ instanceIds: ['4'] }, { instanceIds: ['2'] }])
})

test('a request that is throttled for a moment is sent again; for longer, growth waits and what is known serves', async () => {
  let time = Date.now()
  const { arm, fleet, signal, look, refusal } = await start({ capacity: 2 }, { now: () => time })
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
  const { arm, fleet, signal, look } = await start({ capacity: 5 }, { limits: undefined, now })
  for (let turn = 0; turn < 120; turn++) {
    await look()
    time += 2_000
  }
  // Four minutes: a bucket of 36 gets and 12 a minute; of 30 pages of machines and 10 a minute.
  const gets = arm.sent('GET', '/fleet').length
  expect(gets).toBeGreaterThan(50)
  expect(gets).toBeLessThan(36 + 4 * 12)
  expect(arm.sent('GET', '/virtualMachines').length).toBeLessThan(30 + 4 * 10)
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
  const { arm, fleet, signal, look, refusal } = await start({ capacity: 1 })
  await look()
  arm.forbid('write', 'fleet')
  const { message } = await refusal(2).finally(arm.allowAll)
  expect(message).toMatch(/Virtual Machine Contributor on the scale set fleet/)
  expect(message).toContain('virtualMachineScaleSets/write')
  arm.forbid('delete/action', '/delete')
  await expect(fleet.remove(['fleet_0'], signal)).rejects.toThrow(/Virtual Machine Contributor/)

  const flexible = await start({ orchestrationMode: 'Flexible' })
  await expect(flexible.look()).rejects.toThrow(/fleet has flexible orchestration: make one with/)

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
  const { arm, fleet } = await start({ capacity: 5 })
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
