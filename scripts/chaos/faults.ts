import type { Fault } from './fault.ts'
import { processFaults } from './process-faults.ts'
import { serviceFaults } from './service-faults.ts'
import { workFaults } from './work-faults.ts'

/** Every kind of fault there is. */
const all = { ...processFaults, ...serviceFaults, ...workFaults }

export type FaultKind = keyof typeof all
export const faults: Record<FaultKind, Fault> = all
export const faultKinds = Object.keys(all) as FaultKind[]
