import { afterEach, describe, expect, test } from 'vitest'
import { startVmssFleet, stopVmssFleets } from '../support/vmss-fleet.ts'

afterEach(stopVmssFleets)

/** A clock that a test moves on. */
function clock() {
  let time = Date.now()
  return { now: () => time, pass: (ms: number) => void (time += ms) }
}

describe.each([
  ['Uniform', /^fleet_\d+$/, 'fleet/virtualMachines'],
  ['Flexible', /^fleet_[0-9a-f]{8}$/, 'Microsoft.Compute/virtualMachines'],
] as const)('a scale set of %s orchestration', (orchestrationMode, nameForm, listing) => {
  /** What Azure is told when a machine is to go. */
  const idOf = (name = '') => (orchestrationMode === 'Uniform' ? name.replace('fleet_', '') : name)

  test('machines of all pages are seen as they start, run and go; growing does not wait for them', async () => {
    const { arm, fleet, signal, look, lines } = await startVmssFleet({ orchestrationMode, capacity: 1 })
    await fleet.grow(5, signal)
    const names = arm.set.names()
    for (const name of names) expect(name).toMatch(nameForm)
    expect(await look()).toEqual({
      capacity: 5,
      states: Object.fromEntries(names.map((name, i) => [name, i === 0 ? 'running' : 'starting'])),
    })
    expect(arm.sent('GET', listing)).toHaveLength(3)
    expect(arm.sent('GET', '/virtualMachines')).toHaveLength(3)
    arm.set.settle()
    expect(Object.values((await look()).states)).toEqual(Array(5).fill('running'))

    const [first = '', second = '', third, fourth = '', fifth] = names
    await fleet.remove([second, fourth, 'fleet_99'], signal)
    expect(arm.sent('POST', '/delete').map(({ body }) => JSON.parse(body) as unknown)).toEqual([
      { instanceIds: [idOf(second), idOf(fourth)] },
    ])
    expect(await look()).toMatchObject({ capacity: 3, states: { [second]: 'leaving', [fourth]: 'leaving' } })
    // Those that go already are not asked for once more.
    await fleet.remove([second], signal)
    expect(arm.sent('POST', '/delete')).toHaveLength(1)
    arm.set.settle()
    expect(Object.keys((await look()).states)).toEqual([first, third, fifth])
    expect(arm.sent('PATCH')).toHaveLength(1)
    expect(lines.filter((line) => line.includes('--disable-overprovision'))).toHaveLength(1)
  })

  test('nothing but the size is ever changed', async () => {
    const { arm, fleet, signal } = await startVmssFleet({ orchestrationMode })
    await fleet.grow(2, signal)
    const sku = { name: 'Standard_NC4as_T4_v3', tier: 'Standard' }
    expect(arm.sent('PATCH').map(({ body }) => JSON.parse(body) as unknown)).toEqual([
      { sku: { ...sku, capacity: 2 } },
    ])
  })

  test('an evicted machine makes room for a new one, whether the set forgets, counts or keeps it', async () => {
    const { now, pass } = clock()
    const gone = await startVmssFleet({ orchestrationMode, capacity: 2 }, { now })
    await gone.look()
    const [taken = '', left = ''] = gone.arm.set.names()
    gone.arm.set.evict(taken)
    expect(await gone.look()).toEqual({ capacity: 1, states: { [left]: 'running' } })
    expect(gone.lines.join('')).toContain('gone without our doing')
    pass(16_000)
    expect(await gone.look()).toMatchObject({ capacity: 1 })
    await gone.fleet.grow(2, gone.signal)
    expect(await gone.look()).toMatchObject({ capacity: 2 })
    gone.arm.set.settle()
    expect(await gone.look()).toMatchObject({ capacity: 2 })
    expect(gone.arm.set.names()).toHaveLength(2)

    const kept = await startVmssFleet({ orchestrationMode, capacity: 3, evictionPolicy: 'Deallocate' })
    const [one = '', two = '', three = ''] = kept.arm.set.names()
    kept.arm.set.evict(one)
    kept.arm.set.fail(two, 'running')
    kept.arm.set.fail(three)
    // The one that is kept does not fill a place. A failed change to a running one is none of ours.
    expect(await kept.look()).toEqual({
      capacity: 2,
      states: { [one]: 'leaving', [two]: 'running', [three]: 'failed' },
    })
    await kept.fleet.grow(3, kept.signal)
    kept.arm.set.settle()
    const four = kept.arm.set.names().at(-1) ?? ''
    expect(kept.arm.set.names()).toEqual([two, three, four])
    kept.arm.set.evict(two)
    await kept.look()
    await kept.fleet.remove([three], kept.signal)
    kept.arm.set.settle()
    expect(await kept.look()).toEqual({ capacity: 1, states: { [four]: 'running' } })
  })

  test('machines that Azure has given up on are asked for once more; those that go are not waited for', async () => {
    const { now, pass } = clock()
    const options = { orchestrationMode, capacity: 3, goalOfDeleted: 'lags' } as const
    const { arm, fleet, signal, look } = await startVmssFleet(options, { now })
    await look()
    const [first = ''] = arm.set.names()
    await fleet.remove([first], signal)
    // Azure's own number is still three.
    expect(await look()).toMatchObject({ capacity: 2, states: { [first]: 'leaving' } })
    arm.set.settle()
    expect(await look()).toMatchObject({ capacity: 2 })

    arm.set.runOut(1, { keepsRest: false })
    await fleet.grow(5, signal)
    expect((await look()).capacity).toBe(5)
    arm.set.settle()
    expect((await look()).capacity).toBe(3)
    expect(arm.set.capacity()).toBe(5)
    pass(10 * 60_000)
    await look()
    pass(10 * 60_000)
    await look()
    await fleet.grow(5, signal)
    expect((await look()).capacity).toBe(5)
    arm.set.settle()
    expect(Object.keys((await look()).states)).toHaveLength(5)
  })

  test('a goal that is what it was before machines were removed is a new one', async () => {
    const { arm, fleet, signal, look } = await startVmssFleet({ orchestrationMode, capacity: 6 })
    await look()
    await fleet.remove(arm.set.names().slice(0, 2), signal)
    expect(await look()).toMatchObject({ capacity: 4 })
    await fleet.grow(6, signal)
    expect(await look()).toMatchObject({ capacity: 6 })
    arm.set.settle()
    expect(await look()).toMatchObject({ capacity: 6 })
  })

  test('one that is gone already, or may not go, holds up no other', async () => {
    const { arm, fleet, signal, look } = await startVmssFleet({ orchestrationMode, capacity: 5 })
    await look()
    const [a = '', b = '', c = '', d = '', e = ''] = arm.set.names()
    arm.set.evict(b)
    await fleet.remove([a, b], signal)
    arm.set.settle()
    expect(arm.set.names()).toEqual([c, d, e])

    // Azure says only at the end that one of them stays.
    arm.set.protect(c)
    await fleet.remove([c, d], signal)
    arm.set.settle()
    expect((await look()).states).toEqual({ [c]: 'running', [e]: 'running' })
    await expect(fleet.remove([c, e], signal)).rejects.toThrow(new RegExp(`${c}.*protected`))
    const asked = arm.sent('POST', '/delete').map(({ body }) => JSON.parse(body) as unknown)
    expect(asked.slice(-2)).toEqual([{ instanceIds: [idOf(e)] }, { instanceIds: [idOf(c)] }])
  })

  test.each(['Azure', 'us'])('one that %s can not get rid of keeps nobody from coming', async (who) => {
    const { now, pass } = clock()
    const { arm, fleet, signal, look } = await startVmssFleet({ orchestrationMode, capacity: 3 }, { now })
    await look()
    const [stuck = '', taken = ''] = arm.set.names()
    if (who === 'Azure') arm.set.fail(stuck, 'deallocating')
    else arm.set.stick(stuck)
    const asked = who === 'Azure' ? [] : [stuck]
    await look()
    expect(await fleet.remove([stuck], signal)).toEqual(asked)
    const rest = async () => {
      arm.set.settle()
      await look()
      pass(16_000)
      return await look()
    }
    await rest()
    pass(11 * 60_000)
    expect(await rest()).toMatchObject({ capacity: 2, states: { [stuck]: 'leaving' } })
    expect(await fleet.remove([stuck], signal)).toEqual([])
    expect(await fleet.grow(4, signal)).toBe(true)
    expect(await fleet.grow(4, signal)).toBe(false)
    expect(await rest()).toMatchObject({ capacity: 4 })
    expect(arm.set.names()).toHaveLength(5)
    arm.set.evict(taken)
    expect(await rest()).toMatchObject({ capacity: 3 })
    expect(await fleet.grow(4, signal)).toBe(true)
    expect(await rest()).toMatchObject({ capacity: 4 })
    expect(arm.set.names()).toHaveLength(5)
  })

  test('whether its machines may be taken away is said', async () => {
    const spot = await startVmssFleet({ orchestrationMode })
    expect(await spot.fleet.look(spot.signal)).toMatchObject({ spot: true })
    const regular = await startVmssFleet({ orchestrationMode, priority: 'Regular' })
    expect(await regular.fleet.look(regular.signal)).toMatchObject({ spot: false })
  })
})

describe('a flexible set, which counts machines that are gone', () => {
  const orchestrationMode = 'Flexible'

  test.each(['falls', 'lags', 'stays'] as const)(
    'as many come as are missing, though its number %s as machines are removed',
    async (goalOfDeleted) => {
      const { now, pass } = clock()
      const options = { orchestrationMode, capacity: 6, goalOfDeleted } as const
      const { arm, fleet, signal, look } = await startVmssFleet(options, { now })
      arm.set.countGone(3)
      const rest = async () => {
        arm.set.settle()
        await look()
        pass(16_000)
        return await look()
      }
      expect(await rest()).toMatchObject({ capacity: 6 })
      await fleet.remove(arm.set.names().slice(0, 2), signal)
      expect(await look()).toMatchObject({ capacity: 4 })
      expect(await rest()).toMatchObject({ capacity: 4 })
      await fleet.grow(10, signal)
      const grows = await fleet.look(signal)
      expect(grows.capacity).toBe(10)
      expect(grows.guessed).toBeUndefined()
      expect(await rest()).toMatchObject({ capacity: 10 })
      expect(arm.set.names()).toHaveLength(10)
    },
  )

  test('who may read the set but not the machines beside it is told where that is granted', async () => {
    const { arm, look } = await startVmssFleet({ orchestrationMode })
    arm.forbid('virtualMachines/read', 'Microsoft.Compute/virtualMachines')
    await expect(look()).rejects.toThrow(
      /on its resource group where the set is flexible.*virtualMachines\/read/,
    )
  })

  test('our own removals are no reason to guess: who is missing comes while others still go', async () => {
    const { now, pass } = clock()
    const { arm, fleet, signal, look } = await startVmssFleet({ orchestrationMode, capacity: 6 }, { now })
    arm.set.countGone(3)
    await look()
    pass(16_000)
    await look()
    await fleet.remove(arm.set.names().slice(0, 2), signal)
    await look()
    await fleet.grow(6, signal)
    expect(await look()).toMatchObject({ capacity: 6 })
    arm.set.settle()
    expect(arm.set.names()).toHaveLength(6)
  })

  test('what another autoscaler has asked for is a guess until it is done, and is not asked for twice', async () => {
    const { arm, fleet, signal, look } = await startVmssFleet({ orchestrationMode, capacity: 2 })
    await look()
    arm.set.resize(5)
    expect(await fleet.look(signal)).toMatchObject({ capacity: 5, guessed: true })
    await fleet.grow(5, signal)
    expect(arm.sent('PATCH')).toHaveLength(0)
    arm.set.settle()
    expect(await fleet.look(signal)).toMatchObject({ capacity: 5, guessed: false })
  })

  test('once it counts more than Azure allows, it starts anew as soon as it is empty, and never sooner', async () => {
    const { now, pass } = clock()
    const { arm, fleet, signal, look, refusal } = await startVmssFleet(
      { orchestrationMode, capacity: 1 },
      { now },
    )
    arm.set.countGone(999)
    await look()
    pass(16_000)
    expect(await look()).toMatchObject({ capacity: 1 })
    expect((await refusal(2)).message).toBe(
      'The scale set fleet counts 999 machines that are gone: Azure makes more once it was empty.',
    )
    expect(arm.sent('PATCH')).toHaveLength(0)
    await fleet.remove(arm.set.names(), signal)
    arm.set.settle()
    expect(await look()).toMatchObject({ capacity: 0 })
    await refusal(2)
    arm.set.settle()
    await look()
    await fleet.grow(2, signal)
    arm.set.settle()
    expect(await look()).toMatchObject({ capacity: 2 })
    expect(arm.set.capacity()).toBe(2)
  })
})
