import { Writable } from 'node:stream'
import { pino } from 'pino'
import { FleetRefusal } from '../../src/autoscaler/fleet.ts'
import { createVmssFleet, type VmssFleetOptions } from '../../src/autoscaler/fleets/vmss.ts'
import { type FakeArm, type FakeArmOptions, secretToken, startFakeArm } from './fake-arm.ts'

/** Fleets against a server that keeps Azure Resource Manager's contract: Azure itself can't be here. */
const open: { arm: FakeArm; close: () => Promise<void>; lines: string[] }[] = []

/** After each test. Throws if a token got into a log. */
export async function stopVmssFleets() {
  for (const { arm, close, lines } of open.splice(0)) {
    await close()
    await arm.stop()
    if (lines.join('').includes(secretToken)) throw new Error('The token is in the log')
  }
}

const often = { perMinute: 60_000, burst: 10_000 }
/** No limits to speak of. */
export const noLimits = {
  ...{ get: often, list: often, listVms: often },
  ...{ update: often, delete: often, operation: often },
}

export async function startVmssFleet(options: FakeArmOptions = {}, more: Partial<VmssFleetOptions> = {}) {
  const arm = await startFakeArm(options)
  const lines: string[] = []
  const log = pino(new Writable({ write: (line, _, done) => (lines.push(String(line)), done()) }))
  const { vmssId, endpoint, credential } = arm
  const known = { vmssId, endpoint, credential, log, limits: noLimits, pollEveryMs: 0 }
  const fleet = createVmssFleet({ ...known, ...more })
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
