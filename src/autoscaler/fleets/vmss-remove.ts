import type { Budget } from './vmss-budget.ts'
import { statusOf } from './vmss-errors.ts'
import type { Machine } from './vmss-instances.ts'

/** Machines of one request. */
const chunk = 100

/** Azure's words for a machine that is being deleted, or is not there any more; the latter of one that is a resource. */
const notActive =
  /instanceId\s+(\S+)\s+is not an active Virtual Machine Scale Set VM instanceId|virtualMachines\/([^/'\s]+)'.* was not found/i

/**
 * Removes these machines, many in a request. One that is gone already is left out and the others are asked for again; a
 * request that is refused for another reason is, from then on, one for each of its machines. Throws, after all others
 * were asked for, which could not be removed and why. What there is no budget for is left to the next turn. Answers whom it
 * asked to go.
 */
export async function removeMachines({
  machines,
  alone,
  budget,
  ask,
  sentence,
}: {
  machines: Machine[]
  alone: Set<string>
  budget: Budget
  ask: (machines: Machine[]) => Promise<void>
  sentence: (error: unknown) => string
}): Promise<string[]> {
  const single = machines.filter(({ name }) => alone.has(name))
  const others = machines.filter(({ name }) => !alone.has(name))
  // Those that made trouble come last: they are not to use up what the others need.
  const requests = [
    ...Array.from({ length: Math.ceil(others.length / chunk) }, (_, i) =>
      others.slice(i * chunk, (i + 1) * chunk),
    ),
    ...single.map((machine) => [machine]),
  ]
  const failures: string[] = []
  const asked: string[] = []
  for (let request = requests.shift(); request !== undefined; request = requests.shift()) {
    if (!budget.take()) break
    const left = request
    try {
      await ask(left)
      asked.push(...left.map(({ name }) => name))
    } catch (error) {
      const status = statusOf(error)
      if (status === undefined || status === 401 || status === 403 || status === 429 || status >= 500)
        throw error
      const [, number, name] = notActive.exec(error instanceof Error ? error.message : '') ?? []
      const gone = (number ?? name)?.toLowerCase()
      const rest = left.filter(({ id }) => id.toLowerCase() !== gone)
      if (rest.length < left.length) {
        if (rest.length > 0) requests.unshift(rest)
        continue
      }
      if (left.length > 1) for (const { name } of left) alone.add(name)
      failures.push(`${left.map(({ name }) => name).join(', ')}: ${sentence(error)}`)
    }
  }
  if (failures.length > 0) throw new Error(`Azure did not remove ${failures.join('; ')}`)
  return asked
}
