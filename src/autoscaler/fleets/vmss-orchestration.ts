import type { Arm } from './vmss-arm.ts'
import type { ArmLimits } from './vmss-budget.ts'
import type { AzureVm } from './vmss-instances.ts'

/** What differs between the two kinds of scale set. */
export type Orchestration = {
  /** Its machines, page by page. */
  pages(arm: Arm): AsyncIterable<AzureVm[]>
  /** What a page counts against. */
  budget: keyof ArmLimits & ('list' | 'listVms')
  /** Whether Azure makes as many as are missing. If not, it makes as many as the goal is raised by. */
  makesWhatIsMissing: boolean
  /** Fewer than the goal for so long, while Azure is at nothing, and no more will come. */
  shortForMs: number
}

const uniform: Orchestration = {
  pages: (arm) => arm.listInSet(),
  budget: 'list',
  makesWhatIsMissing: true,
  shortForMs: 60_000,
}

/**
 * Machines are resources of their own, and an id is a name ("Understand names and instance IDs"). Its goal is a count that
 * goes up and down by requests: a machine that goes without one stays in it (seen in dataplat/dbatools 10540), and Azure
 * never makes another in its place. So each eviction has to be added to the next goal.
 */
const flexible: Orchestration = {
  async *pages(arm) {
    for await (const page of arm.listInGroup()) yield page.map((vm) => ({ ...vm, instanceId: vm.name }))
  },
  budget: 'listVms',
  makesWhatIsMissing: false,
  // Long enough for a listing to have what the set itself has told.
  shortForMs: 15_000,
}

/** Azure's default is the former. */
export const orchestrationOf = (mode: string | undefined): Orchestration =>
  mode === 'Flexible' ? flexible : uniform
